"""Combinations of inputs that are refused: in one registry, in one program, and on the cluster."""

import re
from collections.abc import Callable
from typing import Any, cast

import pulumi
import pytest

from registry import PrivateRegistry
from registry.inputs.combinations import check_combinations
from registry.inputs.table import CROSS_FIELD_RULES, DEFAULTS, INPUTS, SECRETS
from registry.validation import InvalidInput
from registry.validation.external_ips import external_ips_warning
from registry.validation.storage import refuse_unshared_claim
from tests.conftest import Deploy, Engine, api_server_service
from tests.examples import CA, EXAMPLES, GATEWAY, companions, inputs_that_fulfil
from tests.issuing import CertificateSpec, issue
from tests.parts import Part, preconditions

Inputs = dict[str, Any]
Found = dict[tuple[str, str, str], Inputs]

OTHER = issue(CertificateSpec("Another CA", days=100))
S3: Inputs = {"storage": "s3", "s3_bucket": "team"}
AZURE: Inputs = {"storage": "azure", "azure_account": "team", "azure_container": "images"}
GCS: Inputs = {"storage": "gcs", "gcs_bucket": "images"}
MIRROR: Inputs = {"mode": "mirror", "mirror_of": "https://registry-1.docker.io"}
EXISTING_NAMESPACE: Inputs = {"create_namespace": False}
BUILDS: Inputs = {"pull_secrets": ["builds"], "default_pull_secret": True}


def registry(args: Inputs) -> PrivateRegistry:
    return PrivateRegistry("registry", cast(Any, args))


def refuse(deploy: Deploy, args: Inputs, create: Callable[[Inputs], Part | PrivateRegistry] = registry) -> InvalidInput:
    """Deploy a registry or a part of it. Return its refusal, and check that it contains no secret."""
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: create(args))
    for key in SECRETS:
        assert str(EXAMPLES[key]) not in str(refusal.value)
    assert "hunter2" not in str(refusal.value)
    assert "PRIVATE" not in str(refusal.value)
    return refusal.value


def created_resources(engine: Engine) -> list[str]:
    """Return the resources below the component."""
    return [each.name for each in engine.resources if each.name != "registry"]


@pytest.mark.parametrize("key", [key for key, row in INPUTS.items() if row.only_with and row.default != EXAMPLES[key]])
def test_an_input_without_an_effect_is_refused(deploy: Deploy, engine: Engine, key: str) -> None:
    row = INPUTS[key]
    other_inputs = dict(S3) if any(condition.holds(DEFAULTS) for condition in row.only_with) else {}
    if key == "allow_delete":
        other_inputs = {"mode": "read-only"}
    refusal = refuse(
        deploy, {**other_inputs, **({"create_namespace": False} if row.existing else {}), key: EXAMPLES[key]}
    )
    assert (refusal.key, refusal.code) == (key, "no-effect")
    assert created_resources(engine) == []


@pytest.mark.parametrize("key", [key for key, row in INPUTS.items() if row.required])
def test_a_missing_input_is_named(deploy: Deploy, engine: Engine, key: str) -> None:
    inputs = inputs_that_fulfil(INPUTS[key].only_with[0])
    del inputs[key]
    refusal = refuse(deploy, inputs)
    assert (refusal.key, refusal.code) == (key, "missing")
    assert created_resources(engine) == []


@pytest.mark.parametrize("key", [key for key, row in INPUTS.items() if row.both_or_neither])
def test_an_input_is_refused_without_the_input_that_belongs_to_it(deploy: Deploy, engine: Engine, key: str) -> None:
    other = INPUTS[key].both_or_neither
    assert INPUTS[other].both_or_neither == key
    refusal = refuse(
        deploy, {**{name: value for name, value in companions(key).items() if name != other}, key: EXAMPLES[key]}
    )
    assert (refusal.key, refusal.code) == (other, "missing")
    assert created_resources(engine) == []


@pytest.mark.parametrize(("key", "other"), [(key, other) for key, row in INPUTS.items() for other in row.replaces])
def test_an_input_that_another_one_replaces_is_refused(deploy: Deploy, engine: Engine, key: str, other: str) -> None:
    refusal = refuse(
        deploy,
        {**companions(key), **companions(other), key: EXAMPLES[key], other: EXAMPLES[other], **EXISTING_NAMESPACE},
    )
    assert refusal.code == "replaced"
    assert refusal.key in INPUTS[key].replaces
    assert created_resources(engine) == []


@pytest.mark.parametrize("key", [key for key, row in INPUTS.items() if row.existing])
def test_an_existing_object_is_refused_in_a_new_namespace(deploy: Deploy, engine: Engine, key: str) -> None:
    refusal = refuse(deploy, {**companions(key), "create_namespace": True, key: EXAMPLES[key]})
    assert (refusal.key, refusal.code) == ("create_namespace", "namespace-is-new")
    assert created_resources(engine) == []


COMBINATIONS: list[tuple[Inputs, str, str]] = [
    # inputs, key and code of the refusal
    ({"workload": "deployment", "replicas": 2}, "replicas", "storage-not-shared"),
    (
        {"workload": "deployment", "replicas": 3, "storage": "class", "storage_class": "fast"},
        "replicas",
        "storage-not-shared",
    ),
    ({"ca_certificate": CA.pem, "ca_key": OTHER.key_pem}, "ca_key", "key-of-another-certificate"),
    ({"password_generations": {"cento": [2]}}, "password_generations.cento", "unknown-user"),
    ({"password_generations": {"jean": [2]}}, "password_generations.jean", "unknown-user"),
    ({"users": ["centos", "centos-2"], "password_generations": {"centos": [1]}}, "users", "name-of-a-generation"),
    (
        {"passwords": {"centos": "hunter2"}, "password_generations": {"centos": [1, 2]}},
        "password_generations.centos",
        "password-is-chosen",
    ),
    ({**S3, **MIRROR, "workload": "deployment", "replicas": 2}, "replicas", "mirror-not-shared"),
    ({**S3, "s3_endpoint": "https://team.s3.eu-west-3.amazonaws.com"}, "s3_endpoint", "bucket-in-host"),
    ({**S3, "s3_endpoint": "https://team.minio.example.com:9000"}, "s3_endpoint", "bucket-in-host"),
    ({**S3, "s3_endpoint": "https://team.fra1.digitaloceanspaces.com"}, "s3_endpoint", "bucket-in-host"),
    ({**S3, "s3_endpoint": "https://s3.eu-west-3.amazonaws.com"}, "s3_region", "region-of-endpoint"),
    ({**AZURE, "image": "registry:2.8.3"}, "image", "unknown-storage"),
    ({**AZURE, "azure_endpoint": "http://azurite:10000"}, "azure_endpoint", "role-without-tls"),
    ({**AZURE, "azure_container": None}, "azure_container", "missing"),
    ({**AZURE, "storage_path": "/srv/registry"}, "storage_path", "no-effect"),
    ({**AZURE, "s3_secret": "keys", **EXISTING_NAMESPACE}, "s3_secret", "no-effect"),
    ({**AZURE, "min_free": 10}, "min_free", "no-effect"),
    ({**GCS, "image": "registry:2.8.3"}, "image", "unknown-storage"),
    ({**GCS, "gcs_bucket": None}, "gcs_bucket", "missing"),
    ({**GCS, "azure_endpoint": "https://blob.example.com"}, "azure_endpoint", "no-effect"),
    ({"outbound_proxy": {"https": "http://proxy:3128"}}, "outbound_proxy", "no-effect"),
    ({"pull_secrets": ["builds", "docker-registry"]}, "pull_secrets", "own-namespace"),
    ({"certificate_days": 30}, "renew_before_days", "longer-than-lifetime"),
    ({"renew_before_days": 396, "certificate_days": 396}, "renew_before_days", "longer-than-lifetime"),
    ({"passwords": {"cento": "hunter2"}}, "passwords.cento", "unknown-user"),
    ({"passwords": {"jean": "hunter2"}}, "passwords.jean", "unknown-user"),
    ({"limits": {"memory": "32Mi"}}, "requests.memory", "more-than-limit"),
    ({"requests": {"cpu": "2"}, "limits": {"cpu": "1999m"}}, "requests.cpu", "more-than-limit"),
    (
        {"exposure": "load-balancer", "load_balancer_address": "10.0.0.7", "client_cidrs": ["2001:db8::/32"]},
        "load_balancer_address",
        "family-of-clients",
    ),
    (
        {"tls_secret": "tls", **EXISTING_NAMESPACE, "certificate_reload": False, "front_limits": {"memory": "200Mi"}},
        *("front_limits", "no-effect"),
    ),
    ({"certificate_issuer": {"name": "team-ca"}}, "create_namespace", "namespace-is-new"),
    (
        {"certificate_issuer": {"name": "ca", "kind": "ClusterIssuer"}, "renew_before_days": 0},
        *("renew_before_days", "renewed-too-late"),
    ),
    ({**GATEWAY, "client_cidrs": ["10.0.0.0/8"]}, "client_cidrs", "clients-hidden"),
    ({"ip_families": ["IPv4", "IPv6"]}, "ip_family_policy", "two-families"),
    (
        {"exposure": "external-ips", "external_ips": ["172.16.1.1", "2001:db8::1"]},
        *("external_ips", "mixed-families"),
    ),
    (
        {"exposure": "external-ips", "external_ips": ["172.16.1.1"], "ip_families": ["IPv6"]},
        *("external_ips", "family-of-service"),
    ),
    ({"ip_families": ["IPv6"], "client_cidrs": ["10.0.0.0/8"]}, "client_cidrs", "family-of-service"),
    ({**S3, "s3_endpoint": "http://minio.storage.svc:9000", "s3_redirect": True}, "s3_redirect", "endpoint-in-cluster"),
    ({**S3, "s3_endpoint": "http://minio:9000", "s3_redirect": True}, "s3_redirect", "endpoint-in-cluster"),
    ({**S3, "s3_storage_class": "GLACIER_IR", "image": "registry:2.7.1"}, "image", "unknown-storage-class"),
    ({"hostnam": "x"}, "hostnam", "unknown-key"),
    ({"host_port": 5000}, "host_port", "unknown-key"),
]

# Deliberately accepted:
# - `port` 5001, the port of the metrics, which have a Service of their own.
# - a node label of several nodes: the volume is bound to `node` by name, and the Pod runs where the volume is.
# - a storage path that is a link or a file on the node, an image for another processor: only the kubelet sees them.
# - an external IP inside the networks of Services or Pods: some users may not read those ranges.
# - a smaller `storage_size` with `storage` class: the API server refuses the change of the claim.
# - `1_000` as a number, YAML's anchors, secrets of another stack: the engine reads the file before the program starts.


@pytest.mark.parametrize(("args", "key", "code"), COMBINATIONS, ids=[f"{key}: {code}" for _, key, code in COMBINATIONS])
def test_a_wrong_combination_is_refused(deploy: Deploy, engine: Engine, args: Inputs, key: str, code: str) -> None:
    refusal = refuse(deploy, args)
    assert (refusal.key, refusal.code) == (key, code)
    checked_later = {name for keys in CROSS_FIELD_RULES.values() for name in keys}
    if checked_later.isdisjoint(args):
        assert created_resources(engine) == []


def test_a_default_contradicts_no_other_input() -> None:
    """The command line passes the defaults of Pulumi.yaml with the values of the user."""
    check_combinations({**DEFAULTS, **S3, **EXISTING_NAMESPACE, "tls_secret": "tls", "users_secret": "users"})


@pytest.mark.parametrize("name", ["", "Team", "my registry", "team_1", "a::b", "-team", "t" * 64, "team\n"])
def test_a_name_that_no_object_can_have_is_refused(deploy: Deploy, engine: Engine, name: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: PrivateRegistry(name, {}))
    assert (refusal.value.key, refusal.value.code) == ("name", "not-a-dns-name")
    assert engine.resources == []


SECOND: Inputs = {"namespace": "second", "storage_path": "/srv/second", "port": 5002}
DUPLICATES: list[tuple[Inputs, Inputs, str]] = [
    # the first registry, the second, key of the refusal
    ({"discovery": True}, {**SECOND, "discovery": True}, "discovery"),
    (BUILDS, {**SECOND, **BUILDS}, "default_pull_secret"),
    ({}, {**SECOND, "namespace": "docker-registry"}, "namespace"),
    ({}, {**SECOND, "storage_path": DEFAULTS["storage_path"]}, "storage_path"),
    (
        {"exposure": "node-port", "node_port": 30500},
        {**SECOND, "exposure": "node-port", "node_port": 30500},
        "node_port",
    ),
    (
        {"exposure": "external-ips", "external_ips": ["10.0.0.7"]},
        {**SECOND, "port": 5000, "exposure": "external-ips", "external_ips": ["10.0.0.8", "10.0.0.7"]},
        "external_ips",
    ),
]


@pytest.mark.parametrize(("first", "second", "key"), DUPLICATES, ids=[key for *_, key in DUPLICATES])
def test_an_exclusive_value_is_refused_to_the_second_registry(
    deploy: Deploy, first: Inputs, second: Inputs, key: str
) -> None:
    def program() -> Part:
        parts = [preconditions(args, name=name) for name, args in {"first": first, "second": second}.items()]
        parts[1].value = pulumi.Output.all(*(part.value for part in parts))
        return parts[1]

    with pytest.raises(InvalidInput) as refusal:
        deploy(program)
    assert (refusal.value.key, refusal.value.code) == (key, "already-reserved")
    assert "'first'" in refusal.value.problem


def two_registries(first: Inputs, second: Inputs) -> PrivateRegistry:
    """Create two registries. Return the second, whose outputs fail if the first one does."""
    registries = [PrivateRegistry(name, cast(Any, args)) for name, args in {"first": first, "second": second}.items()]
    passwords = pulumi.Output.all(*(registry.passwords for registry in registries))
    registries[1].passwords = passwords.apply(lambda values: dict(values[1]))
    return registries[1]


def test_the_second_registry_of_a_namespace_is_refused(deploy: Deploy) -> None:
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: two_registries({}, {**SECOND, "namespace": "docker-registry"}))
    assert (refusal.value.key, refusal.value.code) == ("namespace", "already-reserved")


def test_another_address_or_node_may_have_the_same_port_or_folder(deploy: Deploy) -> None:
    first = {"exposure": "external-ips", "external_ips": ["10.0.0.7"]}
    second = {**first, "external_ips": ["10.0.0.8"], "namespace": "second", "node": "k8s-worker"}
    assert deploy(lambda: two_registries(first, second))["namespace"] == "second"


@pytest.mark.parametrize("version", ["v1.20.15", "v1.35.9", "v1.35.0+k3s1", "", "unknown"])
def test_external_ips_are_supported_before_1_36(version: str) -> None:
    assert external_ips_warning(version) == ""


@pytest.mark.parametrize("version", ["v1.36.0", "v1.36.3+rke2r1", "v1.39.12"])
def test_external_ips_are_deprecated_from_1_36_on(version: str) -> None:
    assert external_ips_warning(version)


@pytest.mark.parametrize("version", ["v1.40.0", "v1.41.1-gke.5", "v2.0.0"])
def test_external_ips_are_refused_from_1_40_on(version: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        external_ips_warning(version)
    assert (refusal.value.key, refusal.value.code) == ("exposure", "external-ips-ignored")
    assert version in refusal.value.problem


EXTERNAL: Inputs = {"exposure": "external-ips", "external_ips": ["10.0.0.7"]}


def _api(cluster_ip: str = "10.96.0.1") -> Found:
    return {("Service", "default", "kubernetes"): api_server_service(cluster_ip)}


def _node(version: str) -> Found:
    node = {"metadata": {"name": "k8s-master"}, "status": {"nodeInfo": {"kubeletVersion": version}}}
    return {("Node", "", "k8s-master"): node}


def _account(*secrets: str) -> Found:
    account = {"metadata": {"name": "default"}, "imagePullSecrets": [{"name": secret} for secret in secrets]}
    return {("ServiceAccount", "builds", "default"): account}


def _claim(*access_modes: str) -> Found:
    return {
        ("PersistentVolumeClaim", "docker-registry", "old"): {
            "metadata": {"name": "old"},
            "spec": {"accessModes": access_modes},
        }
    }


def _service_networks(*cidrs: str) -> Found:
    return {("ServiceCIDR", "", "kubernetes"): {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": [*cidrs]}}}


CLAIM: Inputs = {"storage": "claim", "storage_claim": "old", **EXISTING_NAMESPACE}

LOOKED_UP: list[tuple[Inputs, Found, str, str]] = [
    # inputs, object that is looked up, key and code of the refusal
    (EXTERNAL, _node("v1.40.0"), "exposure", "external-ips-ignored"),
    (
        {**EXTERNAL, "external_ips": ["2001:db8::7"]},
        _api(),
        "external_ips",
        "family-of-cluster",
    ),
    (EXTERNAL, _api("fd00::1"), "external_ips", "family-of-cluster"),
    (
        {"exposure": "load-balancer", "load_balancer_address": "2001:db8::7"},
        _api(),
        "load_balancer_address",
        "family-of-cluster",
    ),
    ({"ip_families": ["IPv6"]}, _service_networks("10.96.0.0/12"), "ip_families", "family-of-cluster"),
    (
        {"ip_family_policy": "RequireDualStack"},
        *(_service_networks("fd00::/108"), "ip_family_policy", "family-of-cluster"),
    ),
    (
        {**EXTERNAL, "external_ips": ["2001:db8::7"], "ip_family_policy": "PreferDualStack"},
        {**_api(), **_service_networks("10.96.0.0/12")},
        *("external_ips", "family-of-cluster"),
    ),
    ({**EXTERNAL, "port": 6443}, _api(), "port", "port-of-api-server"),
    (
        {**EXTERNAL, "external_ips": ["192.168.56.10", "10.96.0.10"]},
        _api(),
        "external_ips",
        "address-of-services",
    ),
]


@pytest.mark.parametrize(
    ("args", "found", "key", "code"), LOOKED_UP, ids=[f"{key}: {code}" for *_, key, code in LOOKED_UP]
)
def test_an_input_that_the_cluster_does_not_support_is_refused_before_anything_is_created(
    deploy: Deploy, engine: Engine, args: Inputs, found: Found, key: str, code: str
) -> None:
    engine.found.update(found)
    refusal = refuse(deploy, args, preconditions)
    assert (refusal.key, refusal.code) == (key, code)
    assert created_resources(engine) == ["registry-lookups"]


ON_THE_CLUSTER: list[tuple[Inputs, dict[Any, Any], str, str]] = [
    # inputs, answers by resource that is read or by object that is looked up, key and code of the refusal
    ({**EXTERNAL, **S3}, _node("v1.40.0"), "exposure", "external-ips-ignored"),
    (
        {**CLAIM, "workload": "deployment", "replicas": 2},
        _claim("ReadWriteOnce"),
        "replicas",
        "storage-not-shared",
    ),
    (
        {"users_secret": "users", **EXISTING_NAMESPACE},
        {"registry-auth-from-kubectl-get-secrets": {"data": {"htpasswd": "eA=="}}},
        "users_secret",
        "secret-incomplete",
    ),
    (
        {"users_secret": "users", **EXISTING_NAMESPACE},
        {"registry-auth-from-kubectl-get-secrets": {"data": {"registry.password": "Y2VudG9zOmh1bnRlcjI="}}},
        "users_secret",
        "not-bcrypt",
    ),
    (
        {"tls_secret": "tls", **EXISTING_NAMESPACE},
        {"registry-tls-from-kubectl-get-secrets": {"data": {"tls.crt": "eA=="}}},
        "tls_secret",
        "secret-incomplete",
    ),
    (
        {"tls_secret": "tls", **EXISTING_NAMESPACE},
        {"registry-tls-from-kubectl-get-secrets": {"data": {"tls.crt": "eA==", "tls.key": "/w=="}}},
        "tls_secret",
        "secret-not-text",
    ),
    (
        {**S3, "s3_secret": "keys", **EXISTING_NAMESPACE},
        {"registry-data-from-kubectl-get-secrets": {"data": {"access-key": "eA=="}}},
        "s3_secret",
        "secret-incomplete",
    ),
    (
        {**AZURE, "azure_secret": "keys", **EXISTING_NAMESPACE},
        {"registry-data-from-kubectl-get-secrets": {"data": {"access-key": "eA=="}}},
        "azure_secret",
        "secret-incomplete",
    ),
    (
        {"pull_secrets": ["builds"], "default_pull_secret": True},
        _account("other"),
        "default_pull_secret",
        "other-pull-secrets",
    ),
    (
        {"pull_secrets": ["builds"], "default_pull_secret": True},
        _account("docker-registry-pull", "added"),
        "default_pull_secret",
        "other-pull-secrets",
    ),
]


@pytest.mark.parametrize(
    ("args", "answers", "key", "code"), ON_THE_CLUSTER, ids=[f"{key}: {code}" for *_, key, code in ON_THE_CLUSTER]
)
def test_an_input_that_an_existing_object_does_not_allow_is_refused(
    deploy: Deploy, engine: Engine, args: Inputs, answers: dict[Any, Any], key: str, code: str
) -> None:
    for name, answer in answers.items():
        if isinstance(name, tuple):
            engine.found[name] = answer
        else:
            engine.live[name] = answer
    refusal = refuse(deploy, args)
    assert (refusal.key, refusal.code) == (key, code)


def test_only_a_shared_claim_may_have_replicas() -> None:
    refuse_unshared_claim(3, ["ReadWriteMany"])
    refuse_unshared_claim(1, ["ReadWriteOnce"])
    with pytest.raises(InvalidInput) as refusal:
        refuse_unshared_claim(3, ["ReadWriteOncePod"])
    assert (refusal.value.key, refusal.value.code) == ("replicas", "storage-not-shared")


def test_every_rule_refuses_a_value_of_a_wrong_type() -> None:
    for key, row in INPUTS.items():
        for value in (None, object(), b"x", 1j, [None], {None: None}, [{}], {"a": {}}):
            with pytest.raises(InvalidInput) as refusal:
                row.rule(value)
            assert re.split(r"[.\[]", refusal.value.key)[0] == key


def test_min_free_is_refused_for_a_mirror() -> None:
    with pytest.raises(InvalidInput) as refusal:
        check_combinations({**DEFAULTS, **MIRROR, "min_free": 10})
    assert (refusal.value.key, refusal.value.code) == ("min_free", "no-pushes")
    check_combinations({**DEFAULTS, "mode": "read-only", "min_free": 10})


JOB: Inputs = {"schedule": "30 2 * * *"}


@pytest.mark.parametrize("job", ["collect", "scrub"])
@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        (MIRROR, "mirror-removes"),
        (S3, "needs-keys"),
        (AZURE, "storage-not-read"),
        (GCS, "storage-not-read"),
        ({"storage": "class", "storage_class": "fast", "storage_access": "ReadWriteOncePod"}, "claim-of-one-pod"),
    ],
)
def test_a_job_that_cannot_work_is_refused(deploy: Deploy, engine: Engine, job: str, inputs: Inputs, code: str) -> None:
    refusal = refuse(deploy, {**inputs, job: JOB})
    assert (refusal.key, refusal.code) == (job, code)
    assert created_resources(engine) == []


@pytest.mark.parametrize("keys", [{"s3_secret": "keys"}, {"s3_access_key": "id", "s3_secret_key": "hunter2"}])
def test_a_job_for_a_bucket_with_keys_is_accepted(keys: Inputs) -> None:
    check_combinations({**DEFAULTS, **S3, "create_namespace": False, "collect": JOB, **keys})


def test_a_job_for_an_existing_claim_of_one_pod_is_refused(deploy: Deploy, engine: Engine) -> None:
    engine.found |= _claim("ReadWriteOncePod")
    refusal = refuse(deploy, {**CLAIM, "scrub": JOB})
    assert (refusal.key, refusal.code) == ("storage_claim", "claim-of-one-pod")


def place(**content: Any) -> Inputs:
    """Return the input `backup` with this place."""
    return {"backup": {**JOB, "to": content}}


BUCKET = place(s3={"bucket": "team"})


@pytest.mark.parametrize("inputs", [MIRROR, S3])
def test_a_backup_of_images_that_a_job_cannot_read_is_refused(inputs: Inputs) -> None:
    with pytest.raises(InvalidInput) as refusal:
        check_combinations({**DEFAULTS, **inputs, **place(claim="backup")})
    assert refusal.value.key == "backup"


@pytest.mark.parametrize(
    ("inputs", "key", "code"),
    [
        (BUCKET, "backup_user", "missing"),
        ({**place(claim="backup"), "backup_user": "a", "backup_password": "hunter2"}, "backup_user", "no-effect"),
        ({**place(claim="backup"), "backup_ca": "a CA"}, "backup_ca", "no-effect"),
        ({**CLAIM, **place(claim=CLAIM["storage_claim"])}, "backup.to.claim", "backup-in-itself"),
        (
            {
                **{"storage": "s3", "s3_bucket": "team", "s3_access_key": "a", "s3_secret_key": "hunter2"},
                **{**BUCKET, "backup_user": "a", "backup_password": "hunter2"},
            },
            *("backup.to.s3", "backup-in-itself"),
        ),
    ],
)
def test_a_backup_that_cannot_help_is_refused(inputs: Inputs, key: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        check_combinations({**DEFAULTS, **inputs})
    assert (refusal.value.key, refusal.value.code) == (key, code)


def test_a_backup_in_another_folder_of_the_bucket_is_accepted() -> None:
    keys = {"s3_access_key": "a", "s3_secret_key": "hunter2", "backup_user": "a", "backup_password": "hunter2"}
    storage = {"storage": "s3", "s3_bucket": "team"}
    check_combinations({**DEFAULTS, **storage, **keys, **place(s3={"bucket": "team", "prefix": "backup"})})


BACKUP_SECRET = "registry-backup-from-kubectl-get-secrets"


@pytest.mark.parametrize(
    ("content", "data"),
    [({"s3": {"bucket": "team"}}, "access-key"), ({"registry": {"url": "https://backup.example.com"}}, "username")],
)
def test_the_secret_of_a_backup_has_the_keys_for_its_place(
    deploy: Deploy, engine: Engine, content: Inputs, data: str
) -> None:
    engine.live[BACKUP_SECRET] = {"data": {"other": "eA=="}}
    refusal = refuse(deploy, {**place(**content), "backup_secret": "keys", **EXISTING_NAMESPACE})
    assert (refusal.key, refusal.code) == ("backup_secret", "secret-incomplete")
    assert data in refusal.problem
