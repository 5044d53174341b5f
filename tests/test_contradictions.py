"""Inputs that are right each for itself: what is wrong with several together, in one program, or on this cluster."""

from typing import Any, cast

import pulumi
import pytest

from registry import PrivateRegistry
from registry.settings import DEFAULTS, RULES, TOGETHER
from registry.validation import InvalidInput, contradictions, network
from tests.conftest import Deploy, Engine
from tests.issuing import Wanted, issue

Given = dict[str, Any]

CA = issue(Wanted())
OTHER = issue(Wanted("Another CA", days=100))
S3: Given = {"storage": "s3", "s3_bucket": "team"}
MIRROR: Given = {"mode": "mirror", "mirror_of": "https://registry-1.docker.io"}
KEYS: Given = {"s3_access_key": "id", "s3_secret_key": "hunter2"}
LOGIN: Given = {"mirror_username": "jean", "mirror_password": "hunter2"}
STAYS: Given = {"create_namespace": False}

CONTRADICTIONS: list[tuple[Given, str]] = [
    # what is set, what the message says
    ({"external_ips": ["10.0.0.7"]}, "`external_ips` must be left out unless `exposure` is external-ips"),
    ({"node_port": 30500}, "`node_port` must be left out unless `exposure` is node-port, got a value while `exposure`"),
    ({"load_balancer_class": "a/b"}, "`load_balancer_class` must be left out unless `exposure` is load-balancer"),
    ({"load_balancer_address": "10.0.0.7"}, "`load_balancer_address` must be left out unless `exposure` is load-"),
    ({"ingress_class": "nginx"}, "`ingress_class` must be left out unless `exposure` is ingress"),
    ({"exposure": "external-ips"}, "`external_ips` must be set when `exposure` is external-ips, got nothing"),
    ({"exposure": "node-port"}, "`node_port` must be set when `exposure` is node-port"),
    ({"exposure": "ingress"}, "`ingress_class` must be set when `exposure` is ingress"),
    ({**S3, "storage_path": "/srv/x"}, "`storage_path` must be left out unless `storage` is host-path or local"),
    ({**S3, "storage_size": "3Gi"}, "`storage_size` must be left out unless `storage` is host-path or local or class"),
    ({"storage_claim": "old"}, "`storage_claim` must be left out unless `storage` is claim, got a value while"),
    ({"storage_class": "fast"}, "`storage_class` must be left out unless `storage` is class"),
    ({"storage_access": "ReadWriteMany"}, "`storage_access` must be left out unless `storage` is class"),
    ({"storage": "claim"}, "`storage_claim` must be set when `storage` is claim"),
    ({"storage": "class"}, "`storage_class` must be set when `storage` is class"),
    ({"storage": "s3"}, "`s3_bucket` must be set when `storage` is s3"),
    ({"s3_bucket": "team"}, "`s3_bucket` must be left out unless `storage` is s3"),
    ({"s3_region": "eu-west-3"}, "`s3_region` must be left out unless `storage` is s3"),
    ({"s3_endpoint": "https://s3.example.com"}, "`s3_endpoint` must be left out unless `storage` is s3"),
    ({"s3_prefix": "team"}, "`s3_prefix` must be left out unless `storage` is s3"),
    ({**KEYS, "s3_secret_key": None}, "`s3_access_key` must be left out unless `storage` is s3"),
    ({**KEYS, "s3_access_key": None}, "`s3_secret_key` must be left out unless `storage` is s3"),
    ({"s3_secret": "keys", **STAYS}, "`s3_secret` must be left out unless `storage` is s3"),
    ({**S3, "s3_access_key": "id"}, "`s3_secret_key` must be set beside `s3_access_key`, got nothing"),
    ({**S3, "s3_secret_key": "hunter2"}, "`s3_access_key` must be set beside `s3_secret_key`"),
    ({**S3, **KEYS, "s3_secret": "keys", **STAYS}, "`s3_access_key` must be left out beside `s3_secret`, which brings"),
    ({"upstream_ca": CA.pem}, "`upstream_ca` must be left out unless `storage` is s3 or `mode` is mirror"),
    ({**S3, "node": "worker"}, "`node` must be left out unless `storage` is host-path or local or `exposure` is ext"),
    ({**S3, "node_label": "a=b"}, "`node_label` must be left out unless `storage` is host-path or local"),
    ({"replicas": 2}, "`replicas` must be left out unless `workload` is deployment"),
    (
        {"workload": "deployment", "replicas": 2},
        "`replicas` must be 1 where the storage is not shared, got 2 on host-path",
    ),
    (
        {"workload": "deployment", "replicas": 3, "storage": "class", "storage_class": "fast"},
        "`replicas` must be 1 where the storage is not shared, got 3 on class ReadWriteOnce",
    ),
    ({"mirror_of": "https://registry-1.docker.io"}, "`mirror_of` must be left out unless `mode` is mirror"),
    ({"mirror_username": "jean"}, "`mirror_username` must be left out unless `mode` is mirror"),
    ({"mirror_password": "hunter2"}, "`mirror_password` must be left out unless `mode` is mirror"),
    ({"mode": "mirror"}, "`mirror_of` must be set when `mode` is mirror"),
    ({**MIRROR, "mirror_username": "jean"}, "`mirror_password` must be set beside `mirror_username`"),
    ({**MIRROR, "mirror_password": "hunter2"}, "`mirror_username` must be set beside `mirror_password`"),
    ({**MIRROR, **LOGIN, "allow_delete": True}, "`allow_delete` must be left out unless `mode` is read-write"),
    ({"mode": "read-only", "allow_delete": True}, "`allow_delete` must be left out unless `mode` is read-write, got a"),
    ({"node_trust_image": "busybox:1.37"}, "`node_trust_image` must be left out unless `node_trust` is true"),
    ({"containerd_folder": "/srv/certs.d"}, "`containerd_folder` must be left out unless `node_trust` is true"),
    ({"docker_folder": "/srv/certs.d"}, "`docker_folder` must be left out unless `node_trust` is true"),
    ({"service_monitor": True}, "`service_monitor` must be left out unless `metrics` is true"),
    ({"ca_certificate": CA.pem}, "`ca_key` must be set beside `ca_certificate`"),
    ({"ca_key": CA.key_pem}, "`ca_certificate` must be set beside `ca_key`"),
    (
        {"ca_certificate": CA.pem, "ca_key": CA.key_pem, "ca_days": 800},
        "`ca_days` must be left out beside `ca_certificate`",
    ),
    (
        {"ca_certificate": CA.pem, "ca_key": CA.key_pem, "ca_generations": [1, 2]},
        "`ca_generations` must be left out beside `ca_certificate`",
    ),
    ({"ca_certificate": CA.pem, "ca_key": OTHER.key_pem}, "`ca_key` must be the private key of `ca_certificate`"),
    ({"tls_secret": "tls", **STAYS, "certificate_names": ["a"]}, "`certificate_names` must be left out beside `tls_s"),
    ({"tls_secret": "tls", **STAYS, "certificate_subject": {"country": "FR"}}, "`certificate_subject` must be left ou"),
    ({"tls_secret": "tls", **STAYS, "certificate_key": "P-384"}, "`certificate_key` must be left out beside `tls_s"),
    ({"tls_secret": "tls", **STAYS, "certificate_days": 90}, "`certificate_days` must be left out beside `tls_secret`"),
    ({"tls_secret": "tls", **STAYS, "renew_before_days": 9}, "`renew_before_days` must be left out beside `tls_secr"),
    ({"tls_secret": "tls", **STAYS, "ca_days": 800}, "`ca_days` must be left out beside `tls_secret`"),
    ({"tls_secret": "tls", **STAYS, "ca_generations": [2]}, "`ca_generations` must be left out beside `tls_secret`"),
    ({"tls_secret": "tls", **STAYS, "ca_key": CA.key_pem}, "`ca_key` must be left out beside `tls_secret`"),
    ({"users_secret": "users", **STAYS, "users": ["jean"]}, "`users` must be left out beside `users_secret`"),
    ({"users_secret": "u", **STAYS, "passwords": {"centos": "hunter2"}}, "`passwords` must be left out beside `users"),
    (
        {"users_secret": "users", **STAYS, "pull_secrets": ["builds"]},
        "`pull_secrets` must be left out beside `users_secret`, which brings its own, got both: its hashes are no pass",
    ),
    (
        {"users_secret": "users", **STAYS, "password_generations": {"centos": [2]}},
        "`password_generations` must be left out beside `users_secret`, which brings its own",
    ),
    (
        {"password_generations": {"cento": [2]}},
        "`password_generations.cento` must be of one of `users`, got an unknown user: did you mean `password_generati",
    ),
    (
        {"password_generations": {"jean": [2]}},
        "`password_generations.jean` must be of one of `users`, got an unknown user: add 'jean' to `users`",
    ),
    (
        {"users": ["centos", "centos-2"], "password_generations": {"centos": [1]}},
        "`users` must be names that `password_generations` does not make, got 'centos-2', which would be a generation",
    ),
    (
        {"passwords": {"centos": "hunter2"}, "password_generations": {"centos": [1, 2]}},
        "`password_generations.centos` must be left out beside `passwords.centos`, got both: remove",
    ),
    ({"default_pull_secret": True}, "`default_pull_secret` must be left out unless `pull_secrets` is set, got a value"),
    (
        {"pull_secrets": ["builds", "docker-registry"]},
        "`pull_secrets` must be namespaces that are there before, got 'docker-registry', which is made for the regist",
    ),
    ({"tls_secret": "tls"}, "`create_namespace` must be false with `tls_secret`, got a namespace that is made with"),
    ({"users_secret": "users"}, "`create_namespace` must be false with `users_secret`"),
    ({**S3, "s3_secret": "keys"}, "`create_namespace` must be false with `s3_secret`"),
    ({"storage": "claim", "storage_claim": "old"}, "`create_namespace` must be false with `storage_claim`"),
    ({"image_pull_secret": "pull"}, "`create_namespace` must be false with `image_pull_secret`"),
    ({"certificate_days": 30}, "`renew_before_days` must be less than `certificate_days`, got 30 of 30 days"),
    ({"renew_before_days": 396, "certificate_days": 396}, "`renew_before_days` must be less than `certificate_days`"),
    ({"passwords": {"cento": "hunter2"}}, "`passwords.cento` must be of one of `users`, got an unknown user: did you"),
    ({"passwords": {"jean": "hunter2"}}, "`passwords.jean` must be of one of `users`, got an unknown user: add 'jean"),
    ({"limits": {"memory": "32Mi"}}, "`requests.memory` must be at most `limits.memory`, got 64Mi of 32Mi"),
    ({"requests": {"cpu": "2"}, "limits": {"cpu": "1999m"}}, "`requests.cpu` must be at most `limits.cpu`, got 2 of"),
    (
        {"exposure": "load-balancer", "load_balancer_address": "10.0.0.7", "client_cidrs": ["2001:db8::/32"]},
        "`load_balancer_address` must be of a family of `client_cidrs`",
    ),
    ({"hostnam": "x"}, "`hostnam` must be a setting of the registry, got an unknown key: did you mean `hostname`?"),
    # The engine binds a Pod's port to its host for a DaemonSet's sake; a Service and a probe need none.
    ({"host_port": 5000}, "`host_port` must be a setting of the registry, got an unknown key"),
]

# Deliberately taken, though a reader might miss them here:
# - `port` 5001, the port of the metrics: they have a Service of their own, so the two never meet.
# - a node label that several nodes bear: the volume is bound to `node` by its name, and the Pod follows the volume.
# - a storage path that is a link or a file on the node, an image for another processor: only the kubelet sees them.
# - an external IP inside the Services' or Pods' networks: their ranges are no part of what every user may read.
# - a smaller `storage_size` with `storage` class: the API server refuses it, and the claim stays as it is.
# - `1_000` as a number, YAML's anchors, another stack's secrets: the engine reads the file before the program starts.


@pytest.mark.parametrize(("args", "says"), CONTRADICTIONS, ids=[says[:60] for _, says in CONTRADICTIONS])
def test_it_is_refused_before_anything_is_made(deploy: Deploy, engine: Engine, args: Given, says: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: PrivateRegistry("registry", cast(Any, args)))
    message = str(refusal.value)
    assert message.startswith(says)
    assert message.partition(", got ")[2].partition(": ")[2], "a remedy"
    assert "hunter2" not in message
    assert "PRIVATE" not in message
    if not any(key in {key for keys in TOGETHER.values() for key in keys} for key in args):
        assert not [each.name for each in engine.registered if each.name != "registry"]


def test_every_table_of_contradictions_is_covered() -> None:
    refused = [says for _, says in CONTRADICTIONS]
    for key in contradictions.BELONGS:
        assert any(says.startswith(f"`{key}` must be left out unless") for says in refused), key
    for key in contradictions.NEEDS.values():
        assert any(says.startswith(f"`{key}` must be set when") for says in refused), key
    for key, other in contradictions.TOGETHER:
        assert any(says.startswith(f"`{other}` must be set beside `{key}`") for says in refused), key
    for key in contradictions.EXISTING:
        assert any(says.startswith(f"`create_namespace` must be false with `{key}`") for says in refused), key
    beside = {each for others in contradictions.INSTEAD.values() for each in others}
    assert beside - {"ca_certificate", "s3_secret_key"} <= {
        says.partition("`")[2].partition("`")[0] for says in refused if " must be left ou" in says
    }


@pytest.mark.parametrize("key", DEFAULTS)
def test_a_default_of_the_command_line_contradicts_nothing(deploy: Deploy, engine: Engine, key: str) -> None:
    given = {**S3, **STAYS, "tls_secret": "tls", "users_secret": "users", key: cast(Any, DEFAULTS)[key]}
    given |= {"storage": "s3", "create_namespace": False}
    contradictions.refuse_idle({**DEFAULTS, **given}, DEFAULTS)
    contradictions.refuse_missing({**DEFAULTS, **given}, DEFAULTS)


@pytest.mark.parametrize("name", ["", "Team", "my registry", "team_1", "a::b", "-team", "t" * 64, "team\n"])
def test_a_name_of_which_no_object_can_be_named_is_refused(deploy: Deploy, engine: Engine, name: str) -> None:
    with pytest.raises(InvalidInput, match="`name` must be a DNS name in lower case of at most 63 characters"):
        deploy(lambda: PrivateRegistry(name, {}))
    assert engine.registered == []


ELSEWHERE: Given = {"namespace": "second", "storage_path": "/srv/second", "port": 5002}
COLLISIONS: list[tuple[Given, Given, str]] = [
    # the first registry, the second, what is said of the second
    (
        {"discovery": True},
        {**ELSEWHERE, "discovery": True},
        "`discovery` must be the registry's alone ('second'), got the cluster's one ConfigMap of it, which 'first' has",
    ),
    (
        {"pull_secrets": ["builds"], "default_pull_secret": True},
        {**ELSEWHERE, "pull_secrets": ["builds"], "default_pull_secret": True},
        "`default_pull_secret` must be the registry's alone ('second'), got the default ServiceAccount of builds, whi",
    ),
    (
        {},
        {**ELSEWHERE, "namespace": "docker-registry"},
        "`namespace` must be the registry's alone ('second'), got name",
    ),
    (
        {},
        {**ELSEWHERE, "storage_path": DEFAULTS["storage_path"]},
        "`storage_path` must be the registry's alone ('second'), got /var/lib/docker-registry/repository on k8s-"
        "master, which 'first' has: set another `storage_path`",
    ),
    (
        {"exposure": "node-port", "node_port": 30500},
        {**ELSEWHERE, "exposure": "node-port", "node_port": 30500},
        "`node_port` must be the registry's alone ('second'), got node port 30500, which 'first' has",
    ),
    (
        {"exposure": "external-ips", "external_ips": ["10.0.0.7"]},
        {**ELSEWHERE, "port": 5000, "exposure": "external-ips", "external_ips": ["10.0.0.8", "10.0.0.7"]},
        "`external_ips` must be the registry's alone ('second'), got port 5000 of 10.0.0.7, which 'first' has",
    ),
]


@pytest.mark.parametrize(("first", "second", "says"), COLLISIONS, ids=[says[:15] for *_, says in COLLISIONS])
def test_what_only_one_registry_can_have_is_refused_to_the_second(
    deploy: Deploy, first: Given, second: Given, says: str
) -> None:
    def program() -> PrivateRegistry:
        one = PrivateRegistry("first", cast(Any, first))
        other = PrivateRegistry("second", cast(Any, second))
        return _both(one, other)

    with pytest.raises(InvalidInput) as refusal:
        deploy(program)
    assert str(refusal.value).startswith(says)


def _both(one: PrivateRegistry, other: PrivateRegistry) -> PrivateRegistry:
    """The second, whose outputs tell what became of the first too."""
    other.passwords = pulumi.Output.all(one.passwords, other.passwords).apply(lambda known: dict(known[1]))
    return other


def test_the_same_port_of_another_address_and_the_same_folder_of_another_node_are_free(deploy: Deploy) -> None:
    def program() -> PrivateRegistry:
        one = PrivateRegistry("first", {"exposure": "external-ips", "external_ips": ["10.0.0.7"]})
        return _both(
            one,
            PrivateRegistry(
                "second",
                {
                    "exposure": "external-ips",
                    "external_ips": ["10.0.0.8"],
                    "namespace": "second",
                    "node": "k8s-worker",
                },
            ),
        )

    assert deploy(program)["namespace"] == "second"


@pytest.mark.parametrize("version", ["v1.20.15", "v1.35.9", "v1.35.0+k3s1", "", "unknown"])
def test_external_ips_are_nothing_to_speak_of_before_1_36(version: str) -> None:
    assert network.external_ips_by_version(version) == ""


@pytest.mark.parametrize("version", ["v1.36.0", "v1.36.3+rke2r1", "v1.39.12"])
def test_external_ips_are_deprecated_from_1_36_on(version: str) -> None:
    assert "deprecated since Kubernetes 1.36 and off from 1.40 on" in network.external_ips_by_version(version)


@pytest.mark.parametrize("version", ["v1.40.0", "v1.41.1-gke.5", "v2.0.0"])
def test_external_ips_are_refused_where_they_are_off(version: str) -> None:
    with pytest.raises(InvalidInput, match=rf"`exposure` must be .*external-ips on Kubernetes {version[:5]}"):
        network.external_ips_by_version(version)


EXTERNAL: Given = {"exposure": "external-ips", "external_ips": ["10.0.0.7"]}


def _api(cluster_ip: str = "10.96.0.1", port: int = 6443) -> Given:
    return {"spec": {"clusterIP": cluster_ip, "ports": [{"port": 443, "targetPort": port}]}}


def _node(version: str) -> Given:
    return {"metadata": {"name": "k8s-master"}, "status": {"nodeInfo": {"kubeletVersion": version}}}


def _uses(*secrets: str) -> Given:
    return {"imagePullSecrets": [{"name": each} for each in secrets]}


ON_THE_CLUSTER: list[tuple[Given, Given, str]] = [
    # what is set, what the cluster answers, what the message says
    (
        EXTERNAL,
        {"registry-node-from-kubectl-get-nodes": _node("v1.40.0")},
        "`exposure` must be a way that this cluster",
    ),
    (
        {**EXTERNAL, "external_ips": ["2001:db8::7"]},
        {"registry-service-of-the-cluster": _api()},
        "`external_ips` must be of the cluster's family, IPv4, got '2001:db8::7'",
    ),
    (
        EXTERNAL,
        {"registry-service-of-the-cluster": _api("fd00::1")},
        "`external_ips` must be of the cluster's family, IPv6, got '10.0.0.7'",
    ),
    (
        {"exposure": "load-balancer", "load_balancer_address": "2001:db8::7"},
        {"registry-service-of-the-cluster": _api()},
        "`load_balancer_address` must be of the cluster's family, IPv4",
    ),
    (
        {**EXTERNAL, "port": 6443},
        {"registry-service-of-the-cluster": _api()},
        "`port` must be free on the nodes, got 6443, the API server's",
    ),
    (
        {"storage": "claim", "storage_claim": "old", **STAYS, "workload": "deployment", "replicas": 2},
        {"registry-data-from-kubectl-get-pvc": {"spec": {"accessModes": ["ReadWriteOnce"]}}},
        "`replicas` must be 1 where the storage is not shared, got 2 on a claim that is ReadWriteOnce",
    ),
    (
        {"users_secret": "users", **STAYS},
        {"registry-auth-from-kubectl-get-secrets": {"data": {"htpasswd": "eA=="}}},
        "`users_secret` must be a Secret with registry.password, got one without registry.password",
    ),
    (
        {"users_secret": "users", **STAYS},
        {"registry-auth-from-kubectl-get-secrets": {"data": {"registry.password": "Y2VudG9zOmh1bnRlcjI="}}},
        "`users_secret` must be a Secret with `user:bcrypt` lines ($2a$, $2b$, $2y$), got another kind in line 1",
    ),
    (
        {"tls_secret": "tls", **STAYS},
        {"registry-tls-from-kubectl-get-secrets": {"data": {"tls.crt": "eA=="}}},
        "`tls_secret` must be a Secret with tls.crt and tls.key, got one without tls.key",
    ),
    (
        {**S3, "s3_secret": "keys", **STAYS},
        {"registry-data-from-kubectl-get-secrets": {"data": {"access-key": "eA=="}}},
        "`s3_secret` must be a Secret with access-key and secret-key, got one without secret-key",
    ),
    (
        {"pull_secrets": ["builds"], "default_pull_secret": True},
        {"registry-pull-secrets-builds-default-from-kubectl-get-serviceaccounts": _uses("theirs")},
        "`default_pull_secret` must be false where others gave the default ServiceAccount of 'builds' pull Secrets, "
        "got theirs: set it to false; name docker-registry-pull in the Pods' `imagePullSecrets`, or add it where "
        "theirs is added from",
    ),
    (
        {"pull_secrets": ["builds"], "default_pull_secret": True},
        {
            "registry-pull-secrets-builds-default-from-kubectl-get-serviceaccounts": _uses(
                "docker-registry-pull", "added"
            )
        },
        "`default_pull_secret` must be false where others gave the default ServiceAccount of 'builds' pull Secrets, "
        "got added",
    ),
]


@pytest.mark.parametrize(("args", "live", "says"), ON_THE_CLUSTER, ids=[says[:50] for *_, says in ON_THE_CLUSTER])
def test_what_this_cluster_cannot_serve_is_refused(
    deploy: Deploy, engine: Engine, args: Given, live: Given, says: str
) -> None:
    engine.live.update(live)
    with pytest.raises(InvalidInput) as refusal:
        deploy(lambda: PrivateRegistry("registry", cast(Any, args)))
    assert str(refusal.value).startswith(says)
    assert "hunter2" not in str(refusal.value)


def test_a_claim_that_is_shared_may_have_replicas() -> None:
    contradictions.refuse_unshared_claim(3, ["ReadWriteMany"])
    contradictions.refuse_unshared_claim(1, ["ReadWriteOnce"])
    with pytest.raises(InvalidInput, match="3 on a claim that is ReadWriteOncePod: use a ReadWriteMany claim, or s3"):
        contradictions.refuse_unshared_claim(3, ["ReadWriteOncePod"])


def test_the_rules_of_every_key_know_text_from_what_is_none() -> None:
    """A value of a wrong type is refused in words, whatever the rule goes on to do with it."""
    for key, rule in RULES.items():
        for value in (None, object(), b"x", 1j, [None], {None: None}, [{}], {"a": {}}):
            with pytest.raises(InvalidInput, match=f"`{key}"):
                rule(value)
