"""The resources that the component creates, with their dependencies and options."""

from collections.abc import Callable
from typing import Any

import bcrypt
import pulumi
import pytest

from registry import CertificateKey, Exposure, PrivateRegistry, PrivateRegistryArgs, Storage, Workload
from registry.next_steps import describe_client_steps
from registry.validation import InvalidInput
from tests.conftest import (
    Deploy,
    Engine,
    attach,
    certificate_of,
    configuration,
    deploy_once,
    is_secret,
    run,
    unwrap_secret,
)

GUIDE = PrivateRegistryArgs(
    exposure=Exposure.EXTERNAL_IPS,
    external_ips=["192.168.56.10"],
    certificate_subject={
        "country": "FR",
        "province": "Alpes Maritimes",
        "locality": "Nice",
        "organization": "SINGLETON",
        "organizational_unit": "R&D",
    },
)


@pytest.fixture(scope="module")
def guide() -> tuple[Engine, dict[str, Any]]:
    """Deploy the registry of the guide once. Return the engine and the outputs."""
    attach(engine := Engine())
    return engine, run(lambda: PrivateRegistry("registry", GUIDE))


class TestTheGuide:
    """Tests that compare with one deployment, which has the values of the guide."""

    @pytest.fixture
    def engine(self, guide: tuple[Engine, dict[str, Any]]) -> Engine:
        return guide[0]

    @pytest.fixture
    def outputs(self, guide: tuple[Engine, dict[str, Any]]) -> dict[str, Any]:
        return guide[1]

    def test_the_registry_of_the_guide_has_these_resources_only(self, engine: Engine) -> None:
        kinds = [each.type.rpartition(":")[2] for each in engine.resources if not each.type.startswith("private")]
        assert sorted(kinds) == [
            *["CertRequest", "Chart", "Lease", "Lease", "LocallySignedCert", "Namespace", "NetworkPolicy", "NodePatch"],
            *["PersistentVolume", "PersistentVolumeClaim", "Pod", "PrivateKey", "PrivateKey"],
            *["RandomPassword", "RandomPassword", "RandomString"],
            *["Secret", "Secret", "Secret", "SelfSignedCert", "Service", "Stash", "Stash", "Stash"],
        ]

    def test_the_certificate_has_the_subject_and_covers_every_name_and_address(self, engine: Engine) -> None:
        request = engine.one("CertRequest").inputs
        assert request["subject"] == {
            "commonName": "docker-registry",
            "country": "FR",
            "province": "Alpes Maritimes",
            "locality": "Nice",
            "organization": "SINGLETON",
            "organizationalUnit": "R&D",
        }
        in_cluster = "docker-registry.docker-registry"
        names = ["docker-registry", in_cluster, f"{in_cluster}.svc", f"{in_cluster}.svc.cluster.local"]
        assert request["dnsNames"] == names
        assert request["ipAddresses"] == ["192.168.56.10"]

    def test_the_server_certificate_lasts_356_days_and_its_ca_longer(self, engine: Engine) -> None:
        certificate, ca = engine.one("LocallySignedCert").inputs, engine.one("SelfSignedCert").inputs
        assert certificate["validityPeriodHours"] == 356 * 24
        assert certificate["earlyRenewalHours"] == 30 * 24
        assert ca["earlyRenewalHours"] > certificate["validityPeriodHours"]
        assert ca["isCaCertificate"] is True

    def test_an_elliptic_curve_key_has_no_usage_for_encryption(self, engine: Engine) -> None:
        assert engine.one("LocallySignedCert").inputs["allowedUses"] == ["digital_signature", "server_auth"]

    def test_the_secrets_have_the_names_of_the_guide(self, engine: Engine) -> None:
        certificate, users = engine.by_name("registry-tls-secret").inputs, engine.by_name("registry-auth-secret").inputs
        assert certificate["metadata"]["name"] == "cert-secret"
        assert certificate["type"] == "kubernetes.io/tls"
        assert users["metadata"]["name"] == "auth-secret"
        assert list(unwrap_secret(users["stringData"])) == ["registry.password"]

    def test_the_generated_password_matches_its_htpasswd_line(self, engine: Engine, outputs: dict[str, Any]) -> None:
        line = unwrap_secret(engine.by_name("registry-auth-secret").inputs["stringData"])["registry.password"]
        name, hashed = line.strip().split(":")
        assert name == outputs["username"] == "centos"
        assert bcrypt.checkpw(outputs["password"].encode(), hashed.encode())
        assert hashed.startswith("$2b$05$"), "A generated password needs no expensive hash."

    def test_the_claim_is_created_before_its_volume(self, engine: Engine) -> None:
        claim, volume = engine.one("PersistentVolumeClaim").inputs, engine.one("PersistentVolume").inputs
        assert "volumeName" not in claim["spec"], "It would bind 10 s later, at the controller's resync."
        assert volume["spec"]["claimRef"]["uid"] == "uid of registry-data-claim"
        assert volume["spec"]["storageClassName"] == claim["spec"]["storageClassName"] == "", (
            "No provisioner handles them."
        )
        selected = claim["spec"]["selector"]["matchLabels"]
        assert selected == {"private-registry/namespace": "docker-registry"}
        assert selected.items() <= volume["metadata"]["labels"].items()
        assert volume["metadata"]["annotations"] == {"pulumi.com/waitFor": "jsonpath={.status.phase}=Bound"}
        assert claim["spec"]["resources"] == {"requests": {"storage": "2Gi"}}
        assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]

    def test_the_images_stay_after_the_stack_is_destroyed(self, engine: Engine) -> None:
        volume = engine.one("PersistentVolume")
        assert volume.inputs["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
        assert volume.inputs["spec"]["hostPath"]["path"] == "/var/lib/docker-registry/repository"
        assert volume.request.deletedWith.endswith("::registry-namespace"), (
            "Deleted alone, it would wait for its claim."
        )

    def test_the_pod_is_pinned_to_the_labelled_node_despite_its_taint(self, engine: Engine) -> None:
        spec = unwrap_secret(engine.one("Pod").inputs["spec"])
        label = engine.one("NodePatch").inputs["metadata"]
        assert label["labels"] == spec["nodeSelector"] == {"run-docker-registry": "true"}
        assert label["name"] == "k8s-master"
        tolerated = {each["key"]: each["effect"] for each in spec["tolerations"]}
        assert tolerated["node-role.kubernetes.io/control-plane"] == "NoSchedule"
        assert tolerated["node.kubernetes.io/unreachable"] == "NoExecute"

    def test_only_the_mount_with_the_images_is_writable(self, engine: Engine) -> None:
        (container,) = unwrap_secret(engine.one("Pod").inputs["spec"])["containers"]
        mounts = {each["mountPath"]: each.get("readOnly", False) for each in container["volumeMounts"]}
        assert mounts == {"/var/lib/registry": False, "/certs": True, "/auth": True, "/etc/distribution": True}
        assert not any("subPath" in each for each in container["volumeMounts"]), (
            "With subPath, new users would not be noticed."
        )

    def test_the_pod_has_no_privileges_and_no_token(self, engine: Engine) -> None:
        spec = unwrap_secret(engine.one("Pod").inputs["spec"])
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False, "The registry would read them as settings."

    def test_no_variable_of_the_pod_contains_a_secret(self, engine: Engine) -> None:
        (container,) = unwrap_secret(engine.one("Pod").inputs["spec"])["containers"]
        assert all(set(each) == {"name", "value"} and "generated" not in each["value"] for each in container["env"])
        assert configuration(engine)["http"]["secret"] == "generated by registry-workload-http-secret"

    def test_the_post_start_hook_runs_a_program_that_every_image_has(self, engine: Engine) -> None:
        (container,) = unwrap_secret(engine.one("Pod").inputs["spec"])["containers"]
        hook = container["lifecycle"]["postStart"]["exec"]["command"]
        assert hook == ["registry", "--version"], "The kubelet starts the probes after the hook."

    def test_the_pod_depends_on_the_users_and_its_configuration_does_not(self, engine: Engine) -> None:
        users = "::registry-auth-secret"
        assert any(urn.endswith(users) for urn in engine.one("Pod").request.dependencies)
        dependencies = engine.by_name("registry-workload-configuration").request.dependencies
        assert not any(urn.endswith(users) for urn in dependencies)

    def test_a_changed_checksum_replaces_the_pod(self, engine: Engine) -> None:
        options = engine.one("Pod").request
        assert options.deleteBeforeReplace, "Only one Pod may use the claim."
        assert list(options.replaceOnChanges) == ['metadata.annotations["checksum/config"]']
        assert len(engine.one("Pod").inputs["metadata"]["annotations"]["checksum/config"]) == 64, "It is a SHA-256."

    @pytest.mark.parametrize(
        ("secret", "restarts"),
        [("registry-tls-secret", True), ("registry-workload-configuration", True), ("registry-auth-secret", False)],
    )
    def test_a_replaced_secret_changes_the_checksum(self, engine: Engine, secret: str, restarts: bool) -> None:
        """`pulumi up --refresh` replaces an edited Secret, though its content is the same for the program.

        The registry reloads the users by itself.
        """
        attach(changed := Engine(live={secret: {"metadata": {"uid": "another"}}}))
        run(lambda: PrivateRegistry("registry", GUIDE))
        before, after = (each.one("Pod").inputs["metadata"]["annotations"] for each in (engine, changed))
        assert (before["checksum/config"] != after["checksum/config"]) is restarts

    def test_pulumi_does_not_wait_for_the_endpoints_of_the_service(self, engine: Engine) -> None:
        service = engine.one("Service").inputs
        assert service["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}
        assert service["spec"]["externalIPs"] == ["192.168.56.10"]
        assert service["spec"]["selector"].items() <= engine.one("Pod").inputs["metadata"]["labels"].items()

    def test_the_outputs_have_the_endpoint_and_the_login(self, outputs: dict[str, Any]) -> None:
        assert outputs == {
            "endpoint": "docker-registry:5000",
            "ca_pem": certificate_of("registry-tls-ca"),
            "username": "centos",
            "password": "generated by registry-auth-centos-password",
            "passwords": {"centos": "generated by registry-auth-centos-password"},
            "namespace": "docker-registry",
            "addresses": ["192.168.56.10"],
            "next_steps": describe_client_steps(
                "docker-registry:5000", "centos", ["192.168.56.10"], exposure="external-ips", mode="read-write"
            ),
        }


def test_a_chosen_password_has_an_expensive_hash(deploy: Deploy, engine: Engine) -> None:
    deploy(lambda: PrivateRegistry("registry", {"passwords": pulumi.Output.secret({"centos": "correct horse"})}))
    line = unwrap_secret(engine.by_name("registry-auth-secret").inputs["stringData"])["registry.password"]
    assert "$2b$10$" in line
    assert bcrypt.checkpw(b"correct horse", line.strip().split(":")[1].encode())


def test_a_chosen_password_is_hashed_and_marked_as_secret(deploy: Deploy, engine: Engine) -> None:
    deploy(lambda: PrivateRegistry("registry", {"passwords": {"centos": "correct horse"}}))
    assert is_secret(engine.by_name("registry-auth-secret").inputs["stringData"])
    assert "correct horse" not in str([each.inputs for each in engine.resources])


def test_the_rsa_key_of_the_guide_is_supported(deploy: Deploy, engine: Engine) -> None:
    deploy(lambda: PrivateRegistry("registry", {"certificate_key": CertificateKey.RSA4096}))
    keys = [each.inputs for each in engine.resources if each.type.endswith("PrivateKey")]
    assert [(key["algorithm"], key["rsaBits"]) for key in keys] == [("RSA", 4096)] * 2
    assert "key_encipherment" in engine.one("LocallySignedCert").inputs["allowedUses"]


@pytest.mark.parametrize("args", [{"storage": "local"}, {"storage": "class", "storage_class": "fast"}])
@pytest.mark.parametrize("workload", ["pod", "deployment"])
def test_the_kubelet_changes_the_owner_of_the_images_only_if_their_folder_has_another_owner(
    args: Any, workload: str
) -> None:
    """The kubelet would otherwise visit every file at each start: with 256,000 blobs that takes minutes."""
    engine = deploy_once("registry", args | {"workload": workload})
    spec = unwrap_secret(engine.one(workload.capitalize()).inputs["spec"])
    context = (spec["template"]["spec"] if workload == "deployment" else spec)["securityContext"]
    assert (context["fsGroup"], context["fsGroupChangePolicy"]) == (65532, "OnRootMismatch")


@pytest.mark.parametrize(("user", "level"), [(0, "baseline"), (65532, "restricted")])
def test_the_namespace_enforces_the_strictest_level_that_allows_the_user(user: int, level: str) -> None:
    engine = deploy_once("registry", {"run_as_user": user})
    assert engine.one("Namespace").inputs["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == level
    assert unwrap_secret(engine.one("Pod").inputs["spec"])["securityContext"]["runAsNonRoot"] is (user != 0)


def test_no_property_of_a_deployment_depends_on_a_secret(deploy: Deploy, engine: Engine) -> None:
    """A Secret is deleted to be replaced, and the engine would delete the Deployment before it."""
    deploy(lambda: PrivateRegistry("registry", {"workload": Workload.DEPLOYMENT}))
    dependencies = engine.one("Deployment").request.propertyDependencies
    assert dependencies["spec"].urns
    assert not [urn for name in dependencies for urn in dependencies[name].urns if "core/v1:Secret::" in urn]


def test_two_registries_in_one_program_share_no_name(deploy: Deploy, engine: Engine) -> None:
    def program() -> PrivateRegistry:
        PrivateRegistry("first", {"namespace": "first", "storage_path": "/srv/first", "port": 5001})
        return PrivateRegistry("second", {"namespace": "second", "storage_path": "/srv/second", "port": 5002})

    deploy(program)
    names = [(each.type, each.name) for each in engine.resources]
    assert len(names) == len(set(names))
    objects = [
        (resource.type, resource.inputs["metadata"].get("namespace"), resource.inputs["metadata"]["name"])
        for resource in engine.resources
        if "name" in resource.inputs.get("metadata", {}) and not resource.type.endswith("NodePatch")
    ]
    assert len(objects) == len(set(objects))


REPLICAS = PrivateRegistryArgs(workload=Workload.DEPLOYMENT, replicas=2, storage=Storage.S3, s3_bucket="images")


def test_replicas_run_on_different_nodes_and_old_replicas_do_not_count() -> None:
    spec = unwrap_secret(deploy_once("registry", REPLICAS).one("Deployment").inputs["spec"])
    (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    assert spread["matchLabelKeys"] == ["pod-template-hash"]


def test_a_replica_leaves_a_node_sooner_if_its_kubelet_is_silent() -> None:
    spec = unwrap_secret(deploy_once("registry", REPLICAS).one("Deployment").inputs["spec"])["template"]["spec"]
    seconds = {each["key"]: each.get("tolerationSeconds") for each in spec["tolerations"]}
    assert seconds["node.kubernetes.io/unreachable"] == 0, "The cluster has waited for 50 seconds already."
    assert seconds["node.kubernetes.io/not-ready"] == 30


def test_a_replica_serves_for_seconds_after_sigterm_and_a_bare_pod_does_not() -> None:
    deployment = deploy_once("registry", REPLICAS).one("Deployment")
    replicas = unwrap_secret(deployment.inputs["spec"])["template"]["spec"]
    pod = deploy_once("registry", {}).one("Pod")
    (replica,), (bare,) = replicas["containers"], unwrap_secret(pod.inputs["spec"])["containers"]
    assert replica["lifecycle"]["preStop"] == {"sleep": {"seconds": 3}}
    assert "preStop" not in bare["lifecycle"], "Its replacement waits for its end."


def test_only_the_namespace_of_a_provisioned_claim_is_retained() -> None:
    engines = [deploy_once("registry", args) for args in ({"storage": "class", "storage_class": "fast"}, {})]
    retained = [engine.one("Namespace").request.retainOnDelete for engine in engines]
    assert retained == [True, False], "The claim and its images are deleted with a namespace."


def test_the_probes_use_https() -> None:
    (container,) = unwrap_secret(deploy_once("registry", {}).one("Pod").inputs["spec"])["containers"]
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/", "port": 5000, "scheme": "HTTPS"}


@pytest.mark.parametrize(
    ("key", "value"),
    [("storage_path", "/srv/elsewhere"), ("storage_size", "4Gi"), ("node", "k8s-worker")],
)
def test_a_change_that_would_replace_the_volume_is_refused(
    deploy: Deploy, engine: Engine, key: str, value: str
) -> None:
    location = {"storage_path": "/srv/here", "storage_size": "2Gi", "node": "k8s-master"}
    engine.live["registry-data-location"] = {"output": {"storage": "host-path", **location}}
    args: Any = location | {key: value}
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: PrivateRegistry("registry", args))
    assert (refusal.value.key, refusal.value.code) == (key, "relocation")
    assert location[key] in refusal.value.problem
    reason = "the claim keeps its size" if key == "storage_size" else "the images would stay behind"
    assert refusal.value.problem.endswith(reason)


@pytest.mark.parametrize("inputs", [{"storage": "s3", "s3_bucket": "images"}, {"storage": "local"}])
def test_a_change_of_the_kind_of_storage_is_refused(deploy: Deploy, engine: Engine, inputs: Any) -> None:
    engine.live["registry-data-location"] = {"output": {"storage": "host-path"}}
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: PrivateRegistry("registry", inputs))
    assert (refusal.value.key, refusal.value.code) == ("storage", "relocation")
    assert not [each for each in engine.resources if each.type.endswith("Pod")], "No registry starts on empty storage."


def test_a_renamed_namespace_is_refused(deploy: Deploy, engine: Engine) -> None:
    engine.live["registry-namespace"] = {"metadata": {"name": "docker-registry", "uid": "1"}}
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: PrivateRegistry("registry", {"namespace": "renamed"}))
    assert (refusal.value.key, refusal.value.code) == ("namespace", "rename")


@pytest.mark.parametrize(
    ("create_inputs", "warning"),
    [
        (lambda: {"image": "registry:2.7"}, "CVE-2026-41888"),
        (lambda: {"storage_size": "2G"}, "counts in powers of ten"),
        (lambda: {"passwords": {"centos": pulumi.Output.secret("centos")}}, "easily guessed"),
        (lambda: {"passwords": {"centos": pulumi.Output.secret("a long sentence")}}, "50 ms of a core on each guess"),
    ],
)
def test_an_unwise_value_is_accepted_with_a_warning(
    deploy: Deploy, create_inputs: Callable[[], Any], warning: str, caplog: pytest.LogCaptureFixture
) -> None:
    deploy(lambda: PrivateRegistry("registry", create_inputs()))
    assert warning in caplog.text


def test_behind_the_proxy_a_chosen_password_causes_no_warning(deploy: Deploy, caplog: pytest.LogCaptureFixture) -> None:
    deploy(lambda: PrivateRegistry("registry", {"passwords": {"centos": "a long one"}, "anonymous_pull": ["public/*"]}))
    assert "guess" not in caplog.text


def test_in_an_existing_namespace_the_volume_is_created_before_its_claim() -> None:
    engine = deploy_once("registry", {"create_namespace": False})
    dependencies = [urn.rpartition("::")[2] for urn in engine.by_name("registry-data-claim").request.dependencies]
    assert "registry-data-volume" in dependencies, "`destroy` then deletes the claim first."
