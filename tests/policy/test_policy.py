"""Every rule of the policy pack accepts what obeys it and refuses what breaks it, by the classes of pulumi-policy."""

import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from policy.resource import NODE_TRUST, REGISTRY, STACK
from policy.rule import ADVISORY, DISABLED, MANDATORY
from policy.rules import RULES, access, images, secrets
from tests.policies import (
    POLICIES,
    SECRET,
    UNKNOWN,
    Case,
    Fixture,
    container,
    deployment,
    foreign,
    judge,
    kubernetes,
    of_registry,
    pod,
    pod_spec,
)

SOURCE = {"hostPath": {"path": "/var/lib/docker-registry"}}
AFFINITY: dict[str, Any] = {"nodeAffinity": {"required": {"nodeSelectorTerms": []}}}
CLAIM = {"claimRef": {"namespace": "registry", "name": "repository"}}
PINNED = ("spec.capacity", "spec.hostPath", "spec.local", "spec.nodeAffinity")


def volume(*, ignored: tuple[str, ...] = PINNED, first: bool | None = None, **spec: Any) -> Fixture:
    props = {"spec": {**SOURCE, **AFFINITY, **CLAIM, "persistentVolumeReclaimPolicy": "Retain", **spec}}
    return of_registry("PersistentVolume", props, ignore_changes=ignored, delete_before_replace=first)


def namespace(level: str | None = "baseline", *, ignored: tuple[str, ...] = ("metadata.name",)) -> Fixture:
    labels = {"pod-security.kubernetes.io/enforce": level} if level else {}
    return of_registry("Namespace", {"metadata": {"name": "registry", "labels": labels}}, ignore_changes=ignored)


def claim(*, ignored: tuple[str, ...] = (), **spec: Any) -> Fixture:
    return of_registry("PersistentVolumeClaim", {"spec": spec}, ignore_changes=ignored)


def location(first: dict[str, Any], current: dict[str, Any] | None = None, *, protect: bool = False) -> Fixture:
    props = {"output": first, "input": first if current is None else current}
    name = "registry-data-location"
    return Fixture("pulumi:index:Stash", props, name, (REGISTRY,), protect=protect)


def secret(files: dict[str, str], name: str = "registry-workload-configuration") -> Fixture:
    return of_registry("Secret", {"metadata": {"name": "configuration-secret"}, "stringData": files}, name=name)


def config_map(data: dict[str, str]) -> Fixture:
    return kubernetes("ConfigMap", {"data": data})


def tls_certificate(hours: float | None) -> Fixture:
    props = {} if hours is None else {"earlyRenewalHours": hours}
    return Fixture("tls:index/locallySignedCert:LocallySignedCert", props)


def private_key(**props: Any) -> Fixture:
    return Fixture("tls:index/privateKey:PrivateKey", props)


def password(**props: Any) -> Fixture:
    return Fixture("random:index/randomPassword:RandomPassword", props, "registry-password")


def outputs(**props: Any) -> Fixture:
    return Fixture(STACK, props)


def network_policy(**spec: Any) -> Fixture:
    default = {"podSelector": {"matchLabels": {"app": "registry"}}, "policyTypes": ["Ingress", "Egress"]}
    return of_registry("NetworkPolicy", {"metadata": {"namespace": "registry"}, "spec": default | spec})


def ingress(*hosts: str) -> Fixture:
    spec = {"rules": [{"host": "registry.example.com"}], "tls": [{"hosts": [*hosts]}]}
    return kubernetes("Ingress", {"spec": spec})


def role(**rule: Any) -> Fixture:
    return kubernetes("Role", {"rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], **rule}]})


def cron_job(policy: str) -> Fixture:
    template = {"spec": {"template": {"spec": pod_spec()}}}
    return of_registry("CronJob", {"spec": {"concurrencyPolicy": policy, "jobTemplate": template}})


def access_rule(condition: str) -> Fixture:
    line = f"    http-request set-var(txn.allowed) bool(true) if {condition}\n"
    return of_registry("Secret", {"stringData": {"haproxy.cfg": f"frontend clients\n{line}"}})


def budget() -> Fixture:
    return of_registry("PodDisruptionBudget", {"metadata": {"namespace": "registry"}})


def with_security(**security: Any) -> Fixture:
    return pod(container(securityContext=security))


def with_variable(**variable: Any) -> Fixture:
    return pod(container(env=[variable]))


HOST_PATH = {"storage": "host-path", "storage_path": "/var/lib/docker-registry", "node": None}
S3_FILE = '{"storage": {"s3": {"bucket": "images", "region": "eu"}}, "auth": {"token": {}}}'
NO_VERSION = container(image="registry:latest")
NO_VERSION_TEMPLATE = {"template": {"spec": pod_spec(NO_VERSION)}}
OPEN = container(env=[])

CASES = (
    Case("storage-is-protected", [location({}, protect=True)], [namespace()], "Namespace `registry` is not protected."),
    Case("storage-is-not-deleted-first", [volume()], [volume(first=True)], "would delete the old one first"),
    Case(
        "volume-is-retained",
        [volume(), volume(persistentVolumeReclaimPolicy=UNKNOWN)],
        [volume(persistentVolumeReclaimPolicy="Delete")],
        "has the reclaim policy Delete",
    ),
    Case(
        "volume-keeps-its-source",
        [volume(), volume(ignored=("spec",)), foreign(volume(ignored=()))],
        [volume(ignored=("spec.capacity", "spec.hostPath"))],
        "does not ignore changes of spec.nodeAffinity",
    ),
    Case("volume-is-bound-to-its-claim", [volume()], [volume(claimRef={})], "names no claim"),
    Case("volume-is-on-one-node", [volume()], [volume(nodeAffinity={})], "no affinity to the node"),
    Case("namespace-keeps-its-name", [namespace()], [namespace(ignored=())], "would be replaced"),
    Case("claim-names-its-class", [claim(storageClassName="")], [claim()], "has no `storageClassName`"),
    Case(
        "claim-keeps-its-volume",
        [claim(ignored=("spec",), storageClassName=""), claim(storageClassName="fast")],
        [claim(storageClassName="")],
        "does not ignore changes of its spec",
    ),
    Case(
        "bucket-is-not-emptied",
        [Fixture("aws:s3/bucketV2:BucketV2", {}), Fixture("aws:s3/bucketPolicy:BucketPolicy", {"forceDestroy": True})],
        [Fixture("minio:index/s3Bucket:S3Bucket", {"forceDestroy": True})],
        "would delete the bucket `registry` with all objects",
    ),
    Case(
        "storage-location-is-kept",
        [location(HOST_PATH), location({"storage": "class", "storage_class": "a"}, {"storage_class": "b"})],
        [location(HOST_PATH, HOST_PATH | {"storage_path": "/srv"})],
        "`storage_path` was /var/lib/docker-registry at first, and would become /srv.",
    ),
    Case(
        "storage-location-is-pinned",
        [location({"storage": "s3"}), secret({"config.yml": S3_FILE})],
        [location({"storage": "s3"}), secret({"config.yml": S3_FILE.replace("images", "others")})],
        "`bucket` of `registry` is others, but images is pinned.",
        {"locations": {"registry": {"storage": "s3", "bucket": "images"}}},
    ),
    Case(
        "image-has-a-version",
        [pod(), pod(container(image=f"host:5000/registry@sha256:{'0' * 64}")), pod(container(image=UNKNOWN))],
        [pod(NO_VERSION)],
        "has the image registry:latest, without a version",
    ),
    Case(
        "image-is-pinned-by-digest",
        [pod(container(image=f"registry:3.1.2@sha256:{'0' * 64}"))],
        [pod()],
        "registry:3.1.2, without a digest",
    ),
    Case(
        "image-comes-from-an-allowed-registry",
        [pod(container(image="mirror.example.com/registry:3.1.2"))],
        [pod()],
        "from another registry",
        {"registries": ["mirror.example.com/"]},
    ),
    Case(
        "environment-has-no-secret",
        [
            pod(),
            with_variable(name="TOKEN", valueFrom={"secretKeyRef": {}}),
            with_variable(name="TOKEN", value=UNKNOWN),
        ],
        [with_variable(name="DB_PASSWORD", value="hunter2")],
        "The variable DB_PASSWORD of the container `registry` is a secret by its name.",
    ),
    Case(
        "command-has-no-secret",
        [pod(container(args=["serve", "--password-file=/auth/password", "--token", "$(TOKEN)"]))],
        [pod(container(args=["serve", "--http-password=hunter2"]))],
        "Word 2 of the command of the container `registry` is an option with a secret.",
    ),
    Case(
        "config-map-has-no-secret",
        [config_map({"program.py": "password = read()", "url": "https://example.com/a:b@c"})],
        [config_map({"config.yml": "proxy: https://jean:hunter2@example.com"})],
        "has a URL with a password",
    ),
    Case(
        "metadata-has-no-secret",
        [pod()],
        [pod(metadata={"annotations": {"example.com/login": SECRET}})],
        "`metadata.annotations.example.com/login` of Pod `registry` is a secret of the program.",
    ),
    Case(
        "secret-data-is-encrypted",
        [secret({"token": SECRET})],
        [secret({"token": "hunter2"})],
        "The key token of the Secret `registry-workload-configuration` is in plain text",
    ),
    Case(
        "outputs-have-no-plain-secret",
        [outputs(password=SECRET, ca_pem="-----BEGIN CERTIFICATE-----", endpoint="registry:5000")],
        [outputs(team={"adminPassword": "hunter2"})],
        "The output team.adminPassword is a secret by its name.",
    ),
    Case(
        "generated-secret-is-not-copied",
        [password(result=SECRET), secret({"login": SECRET})],
        [password(result=SECRET), outputs(greeting=f"Log in with {SECRET}")],
        "`greeting` of `registry` has the secret of `registry-password`.",
    ),
    Case("pod-uses-no-host-namespace", [pod(hostNetwork=False)], [pod(hostPID=True)], "sets `hostPID`"),
    Case(
        "container-uses-no-host-port",
        [pod(container(ports=[{"containerPort": 5000}]))],
        [pod(container(ports=[{"containerPort": 5000, "hostPort": 5000}]))],
        "has a `hostPort`",
    ),
    Case(
        "container-probes-itself",
        [pod(), pod(container(lifecycle={"preStop": {"sleep": {"seconds": 3}}}))],
        [pod(container(readinessProbe={"httpGet": {"host": "10.0.0.1", "port": 80}}))],
        "has a probe or a hook for another host",
    ),
    Case("container-is-not-privileged", [pod()], [with_security(privileged=True)], "is privileged"),
    Case(
        "container-has-no-capabilities",
        [pod(), with_security(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]})],
        [with_security(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]})],
        "adds SYS_ADMIN",
    ),
    Case(
        "container-gains-no-privileges",
        [pod(), with_security(allowPrivilegeEscalation=UNKNOWN)],
        [with_security(allowPrivilegeEscalation=None)],
        "allows privilege escalation",
    ),
    Case(
        "container-has-a-seccomp-profile",
        [pod(), with_security(seccompProfile={"type": "Localhost"})],
        [pod(securityContext={"seccompProfile": {"type": "Unconfined"}})],
        "has no seccomp profile",
    ),
    Case(
        "container-runs-as-non-root",
        [foreign(pod()), pod(securityContext={"runAsNonRoot": False, "runAsUser": 0})],
        [foreign(pod(securityContext={"runAsNonRoot": False, "runAsUser": 0}))],
        "may run as root",
    ),
    Case(
        "pod-mounts-no-folder-of-the-node",
        [pod(volumes=[{"name": "images", "persistentVolumeClaim": {"claimName": "repository"}}])],
        [pod(volumes=[{"name": "docker", "hostPath": {"path": "/var/run"}}])],
        "The volume `docker` is of the type hostPath.",
    ),
    Case(
        "pod-keeps-the-kernel-defaults",
        [pod(securityContext={"sysctls": [{"name": "net.ipv4.tcp_syncookies"}]})],
        [pod(securityContext={"sysctls": [{"name": "kernel.msgmax"}]})],
        "sets the sysctl kernel.msgmax",
    ),
    Case(
        "container-file-system-is-read-only",
        [pod(), foreign(with_security(readOnlyRootFilesystem=False))],
        [with_security(readOnlyRootFilesystem=False)],
        "can write to its file system",
    ),
    Case(
        "pod-has-no-api-token",
        [pod()],
        [pod(automountServiceAccountToken=None)],
        "mounts the token of its ServiceAccount",
    ),
    Case(
        "namespace-enforces-pod-security",
        [namespace("restricted"), namespace("baseline"), foreign(namespace(None))],
        [namespace("privileged")],
        "accepts privileged Pods",
    ),
    Case(
        "anonymous-may-not-push",
        [access_rule("reads pull1"), access_rule("users0 writes push0"), access_rule("ping public")],
        [access_rule("writes push1")],
        "allows it without a login: writes push1.",
    ),
    Case(
        "registry-requires-a-login",
        [
            pod(),
            pod(OPEN, container(name="proxy", image="haproxy:3")),
            pod(container(name="app", image="app:1", env=[])),
        ],
        [pod(container(env=[{"name": "REGISTRY_AUTH", "value": "silly"}]))],
        "serves clients without a login",
    ),
    Case(
        "registry-serves-tls",
        [pod(), pod(OPEN, container(name="proxy", image="haproxy:3"))],
        [pod(OPEN)],
        "serves passwords and images in plain text",
    ),
    Case(
        "ingress-uses-tls",
        [ingress("registry.example.com"), ingress(UNKNOWN)],
        [ingress("other.example.com")],
        "serves registry.example.com without TLS",
    ),
    Case("registry-has-a-network-policy", [pod(), network_policy()], [pod()], "No NetworkPolicy selects the Pods"),
    Case(
        "network-policy-has-both-directions",
        [network_policy()],
        [network_policy(policyTypes=["Ingress"])],
        "limits one direction only",
    ),
    Case(
        "network-policy-limits-clients",
        [network_policy(ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}])],
        [network_policy(ingress=[{"ports": [{"port": 5000}]}])],
        "allows clients of all networks",
    ),
    Case("role-has-no-wildcard", [role()], [role(verbs=["*"])], 'has "*" in `verbs`'),
    Case(
        "certificate-is-renewed-in-time",
        [tls_certificate(30 * 24.0)],
        [tls_certificate(24.0)],
        "is renewed 1 days before its end",
    ),
    Case(
        "private-key-is-strong",
        [private_key(algorithm="RSA"), private_key(algorithm="ECDSA", ecdsaCurve="P256")],
        [private_key(algorithm="RSA", rsaBits=1024.0)],
        "has 1024 bits",
    ),
    Case("generated-password-is-long", [password(length=32.0)], [password(length=8.0)], "has 8 characters"),
    Case("container-has-a-memory-limit", [pod()], [pod(container(resources={}))], "has no memory limit"),
    Case("registry-has-probes", [pod()], [pod(container(livenessProbe=None))], "No container has a `livenessProbe`."),
    Case("cron-job-does-not-overlap", [cron_job("Forbid")], [cron_job("Allow")], "may run twice"),
    Case(
        "replicas-survive-a-drain",
        [deployment(pod_spec(), replicas=2.0), budget()],
        [deployment(pod_spec(), replicas=2.0)],
        "has no PodDisruptionBudget",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_rule_accepts_what_obeys_it(case: Case) -> None:
    assert judge(case.rule, case.good, case.config) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_rule_refuses_what_breaks_it_and_says_what_to_do(case: Case) -> None:
    violations = judge(case.rule, case.bad, case.config)
    assert case.text in violations[0]
    assert (POLICIES[case.rule].remediation_steps or "") in violations[0]
    assert "hunter2" not in "".join(violations)
    assert SECRET not in "".join(violations)


def test_every_rule_has_a_case() -> None:
    assert [case.rule for case in CASES] == [rule.name for rule in RULES]
    assert len(RULES) >= 25


def test_every_rule_has_sentences_and_a_name_of_its_own() -> None:
    names = Counter(rule.name for rule in RULES)
    assert set(names.values()) == {1}
    for rule in RULES:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)+", rule.name)
        assert all(re.fullmatch(r"[A-Z`].*\.", text) for text in (rule.description, rule.remediation)), rule.name
        assert rule.level in (MANDATORY, ADVISORY, DISABLED)


def test_every_property_of_the_config_has_a_description_and_a_default() -> None:
    for rule in RULES:
        for schema in rule.config.values():
            assert schema["description"]
            assert schema["type"] in ("array", "integer", "object")
            assert "default" in schema


class TestPods:
    """Rules for Pods judge every kind that creates Pods, and every container."""

    @pytest.mark.parametrize("kind", ["Deployment", "DaemonSet", "StatefulSet", "Job"])
    def test_a_template_is_judged(self, kind: str) -> None:
        assert judge("image-has-a-version", [kubernetes(kind, {"spec": NO_VERSION_TEMPLATE})])

    def test_the_template_of_a_cron_job_is_judged(self) -> None:
        spec = {"jobTemplate": {"spec": NO_VERSION_TEMPLATE}}
        assert judge("image-has-a-version", [kubernetes("CronJob", {"spec": spec})])

    @pytest.mark.parametrize("field", ["initContainers", "ephemeralContainers"])
    def test_other_containers_are_judged(self, field: str) -> None:
        fields: dict[str, Any] = {field: [NO_VERSION]}
        assert judge("image-has-a-version", [pod(**fields)])

    def test_a_value_of_the_container_wins_over_that_of_the_pod(self) -> None:
        root = foreign(with_security(runAsUser=0))
        assert judge("container-runs-as-non-root", [root])

    def test_a_pod_whose_spec_is_unknown_is_not_judged(self) -> None:
        unknown = kubernetes("Pod", {"spec": UNKNOWN})
        pod_rules = [case.rule for case in CASES if case.bad[0].type.endswith(":Pod")]
        assert not [rule for rule in pod_rules if judge(rule, [unknown])]

    @pytest.mark.parametrize("rule", ["container-runs-as-non-root", "pod-mounts-no-folder-of-the-node"])
    def test_the_agents_of_node_trust_are_excepted_unless_the_config_says_otherwise(self, rule: str) -> None:
        spec = pod_spec(securityContext={"runAsUser": 0}, volumes=[{"name": "etc", "hostPath": {"path": "/etc"}}])
        agent = kubernetes("DaemonSet", {"spec": {"template": {"spec": spec}}}, REGISTRY, NODE_TRUST)
        assert judge(rule, [agent]) == []
        assert judge(rule, [agent], {"except": []})


@pytest.mark.parametrize(
    ("reference", "repository", "tag"),
    [
        ("registry", "registry", ""),
        ("registry:3.1.2", "registry", "3.1.2"),
        ("host:5000/team/registry", "host:5000/team/registry", ""),
        ("host:5000/registry:3", "host:5000/registry", "3"),
        ("registry:3@sha256:ab", "registry", "3"),
    ],
)
def test_a_port_is_no_tag(reference: str, repository: str, tag: str) -> None:
    assert images.parse(reference)[:2] == (repository, tag)


@pytest.mark.parametrize(
    "name", ["PASSWORD", "db.password", "adminPassword", "AWS_SECRET_ACCESS_KEY", "api-key", "token"]
)
def test_the_name_of_a_secret_is_recognized(name: str) -> None:
    assert secrets.has_secret_name(name)


@pytest.mark.parametrize(
    "name", ["REGISTRY_HTTP_TLS_KEY", "TOKEN_SECONDS", "password_generations", "keyboard", "ca_pem"]
)
def test_another_name_is_none_of_a_secret(name: str) -> None:
    assert not secrets.has_secret_name(name)


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN EC PRIVATE KEY-----\nabc",
        "http://jean:p%40ss@proxy:3128",
        f"jean:$2b$10${'a' * 53}",
        "AKIAIOSFODNN7EXAMPLE",
        SECRET,
    ],
)
def test_the_form_of_a_secret_is_recognized(text: str) -> None:
    assert secrets.secret_form(text)


@pytest.mark.parametrize("condition", ["users3 { method DELETE } delete3", "authenticated writes push1", "ping known"])
def test_a_condition_with_a_login_is_allowed(condition: str) -> None:
    assert judge("anonymous-may-not-push", [access_rule(condition)]) == []


@pytest.mark.parametrize(
    "condition", ["{ method DELETE } delete2", "{ method GET HEAD DELETE } upload1", "public", "writes pull1"]
)
def test_a_condition_without_a_login_that_is_no_pull_is_refused(condition: str) -> None:
    assert judge("anonymous-may-not-push", [access_rule(condition)])


def test_a_registry_whose_configuration_checks_tokens_requires_a_login() -> None:
    volumes = [{"name": "configuration", "secret": {"secretName": "configuration-secret"}}]
    registry = pod(OPEN, volumes=volumes)
    assert judge("registry-requires-a-login", [registry, secret({"config.yml": S3_FILE})]) == []
    assert judge("registry-requires-a-login", [registry, secret({"config.yml": "{}"})])
    assert judge("registry-requires-a-login", [registry, secret({"config.yml": UNKNOWN})]) == [], (
        "preview may not know it"
    )
    assert access.LOGIN_CHECK.search("storage: {}\nauth:\n  htpasswd: {}")


def test_a_registry_that_left_the_program_is_missed_by_its_pin() -> None:
    pins = {"locations": {"registry": HOST_PATH}}
    assert judge("storage-location-is-pinned", [location(HOST_PATH)], pins) == []
    (violation,) = judge("storage-location-is-pinned", [outputs()], pins)
    assert violation.startswith("The registry `registry` is not in the program any more.")


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path to every value inside of `value`."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield (*path, key)
        yield from paths(value[key], (*path, key))


def with_value(fixture: Fixture, path: tuple[Any, ...], value: Any) -> Fixture:
    """Return the resource with another value at `path`."""
    props = deepcopy(fixture.props)
    holder: Any = props
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return replace(fixture, props=props)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_an_unknown_value_breaks_no_rule(case: Case) -> None:
    """Preview may not know a value, or a whole object."""
    for position, fixture in enumerate(case.good):
        for path in paths(fixture.props):
            good = [*case.good]
            good[position] = with_value(fixture, path, UNKNOWN)
            assert judge(case.rule, good, case.config) == [], path


@pytest.mark.parametrize("value", [None, "text", 1.0, [None], ["text"]], ids=repr)
def test_no_value_of_a_wrong_type_ends_a_rule(value: Any) -> None:
    """The engine asks before the API server does, and an exception of a rule would end every preview."""
    for case in CASES:
        for fixture in (*case.good, *case.bad):
            for path in paths(fixture.props):
                judge(case.rule, [with_value(fixture, path, value)], case.config)
