"""Who else pulls: a Secret in each namespace, the default ServiceAccount if asked, and what the cluster is told."""

import json
from base64 import b64decode
from typing import Any

import pytest

from registry import PrivateRegistry, PrivateRegistryArgs
from registry.pull_secrets import docker_config
from tests.conftest import Deploy, Engine, is_secret, unwrap

ACCOUNT = "registry-pull-secrets-builds-default-from-kubectl-get-serviceaccounts"
DEFAULT = PrivateRegistryArgs(pull_secrets=["builds"], default_pull_secret=True)


def login(engine: Engine, name: str) -> dict[str, Any]:
    """What the resource of that name has the kubelet log in with, by registry."""
    data = unwrap(engine.by_name(name).inputs["data"])
    return dict(json.loads(b64decode(data[".dockerconfigjson"]))["auths"])


def test_each_namespace_gets_a_secret_with_the_first_users_login(deploy: Deploy, engine: Engine) -> None:
    args = PrivateRegistryArgs(users=["jean", "marie"], pull_secrets=["builds", "kube-system"], namespace="team")
    outputs = deploy(lambda: PrivateRegistry("registry", args))
    for namespace in ("builds", "kube-system"):
        secret = engine.by_name(f"registry-pull-secrets-{namespace}").inputs
        assert (secret["metadata"]["namespace"], secret["metadata"]["name"]) == (namespace, "team-pull")
        assert secret["type"] == "kubernetes.io/dockerconfigjson"
        assert is_secret(secret["data"])
        (told,) = login(engine, f"registry-pull-secrets-{namespace}").items()
        assert told[0] == outputs["endpoint"] == "docker-registry.team.svc:5000"
        assert (told[1]["username"], told[1]["password"]) == ("jean", outputs["password"])
        assert b64decode(told[1]["auth"]).decode() == f"jean:{outputs['password']}"


def test_a_changed_password_reaches_the_secret_by_a_patch_and_replaces_nothing(deploy: Deploy, engine: Engine) -> None:
    deploy(lambda: PrivateRegistry("registry", {"pull_secrets": ["builds"]}))
    secret, patch = (
        engine.by_name("registry-pull-secrets-builds"),
        engine.by_name("registry-pull-secrets-builds-current"),
    )
    assert list(secret.request.ignoreChanges) == ["data"], "the provider would delete the Secret and make it anew"
    assert login(engine, secret.name) == login(engine, patch.name)
    assert is_secret(patch.inputs["data"])
    assert patch.inputs["metadata"]["annotations"] == {"pulumi.com/patchForce": "true"}, "the key is the Secret's"
    assert patch.request.deletedWith.endswith("::registry-pull-secrets-builds"), "alone it cannot let go of the key"
    waits_for = [urn.rpartition("::")[2] for urn in patch.request.dependencies]
    assert "registry-pull-secrets-builds" in waits_for, "a patch of nothing would make a Secret of another type"


@pytest.mark.parametrize("first", ["registry-namespace", "registry-auth-secret"], ids=["leases", "users"])
def test_no_login_is_handed_out_before(deploy: Deploy, engine: Engine, first: str) -> None:
    deploy(lambda: PrivateRegistry("registry", {"pull_secrets": ["builds"]}))
    for name in ("registry-pull-secrets-builds", "registry-pull-secrets-builds-current"):
        assert any(urn.endswith(f"::{first}") for urn in engine.by_name(name).request.dependencies)


@pytest.mark.parametrize(
    ("endpoint", "spelled"),
    [
        ("docker-registry:5000", ["docker-registry:5000"]),
        ("registry.example.com:443", ["registry.example.com:443", "registry.example.com"]),
        ("registry.example.com:1443", ["registry.example.com:1443"]),
    ],
)
def test_a_reference_may_leave_out_the_port_of_https(endpoint: str, spelled: list[str]) -> None:
    assert list(json.loads(docker_config(endpoint, "jean", "p"))["auths"]) == spelled


def test_a_name_and_a_password_of_any_letters_arrive_whole() -> None:
    told = json.loads(docker_config("r:5000", "jürgen", 'pä:"ss\\'))["auths"]["r:5000"]
    assert b64decode(told["auth"]).decode().partition(":") == ("jürgen", ":", 'pä:"ss\\')


def test_the_default_service_account_is_left_alone_unless_asked(deploy: Deploy, engine: Engine) -> None:
    engine.live[ACCOUNT] = {"imagePullSecrets": [{"name": "theirs"}]}
    deploy(lambda: PrivateRegistry("registry", {"pull_secrets": ["builds"]}))
    assert not [each for each in engine.resources if "ServiceAccount" in each.type]


@pytest.mark.parametrize("present", [None, [], [{"name": "docker-registry-pull"}]], ids=["none", "empty", "ours"])
def test_the_default_service_account_uses_the_secret_if_it_has_no_other(
    deploy: Deploy, engine: Engine, present: Any
) -> None:
    engine.live[ACCOUNT] = {"imagePullSecrets": present}
    deploy(lambda: PrivateRegistry("registry", DEFAULT))
    patch = engine.one("ServiceAccountPatch")
    assert patch.inputs["metadata"] == {"name": "default", "namespace": "builds"}, (
        "without force: others' list conflicts"
    )
    assert patch.inputs["imagePullSecrets"] == [{"name": "docker-registry-pull"}]
    assert any(urn.endswith("::registry-pull-secrets-builds") for urn in patch.request.dependencies)


def test_two_registries_put_a_secret_each_into_one_namespace(deploy: Deploy, engine: Engine) -> None:
    def program() -> PrivateRegistry:
        first = PrivateRegistry("first", {"pull_secrets": ["builds"], "storage": "s3", "s3_bucket": "first"})
        second = {"pull_secrets": ["builds"], "namespace": "second", "storage": "s3", "s3_bucket": "second"}
        first.passwords = PrivateRegistry("second", second).passwords  # type: ignore[arg-type]
        return first

    deploy(program)
    made = [each.inputs["metadata"]["name"] for each in engine.resources if each.name.endswith("-pull-secrets-builds")]
    assert sorted(made) == ["docker-registry-pull", "second-pull"]


def test_tools_are_told_of_the_registry_where_it_is_asked_for(deploy: Deploy, engine: Engine) -> None:
    args = PrivateRegistryArgs(discovery=True, namespace="team", exposure="node-port", node_port=30500)
    deploy(lambda: PrivateRegistry("registry", args))
    told = engine.one("ConfigMap").inputs
    assert (told["metadata"]["namespace"], told["metadata"]["name"]) == ("kube-public", "local-registry-hosting")
    assert json.loads(told["data"]["localRegistryHosting.v1"]) == {
        "host": "docker-registry:30500",
        "hostFromContainerRuntime": "docker-registry:30500",
        "hostFromClusterNetwork": "docker-registry.team.svc:5000",
    }


def test_by_default_nobody_is_told_and_nobody_pulls(deploy: Deploy, engine: Engine) -> None:
    deploy(lambda: PrivateRegistry("registry", {}))
    assert not [each for each in engine.resources if each.type.endswith(("ConfigMap", "SecretPatch"))]
