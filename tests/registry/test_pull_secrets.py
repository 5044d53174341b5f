"""Pull Secrets in other namespaces, their default ServiceAccounts, and the ConfigMap for discovery."""

import json
from base64 import b64decode
from typing import Any

import pytest

from registry import Exposure, PrivateRegistry, PrivateRegistryArgs, Storage
from registry.pull_secrets import docker_config
from tests.conftest import Deploy, Engine, is_secret, unwrap_secret

ACCOUNT = ("ServiceAccount", "builds", "default")
DEFAULT = PrivateRegistryArgs(pull_secrets=["builds"], default_pull_secret=True)


def logins(engine: Engine, name: str) -> dict[str, Any]:
    """Return the logins in a pull Secret or in its patch, by registry."""
    data = unwrap_secret(engine.by_name(name).inputs["data"])
    return dict(json.loads(b64decode(data[".dockerconfigjson"]))["auths"])


def test_every_namespace_has_a_secret_with_the_login_of_the_pull_user(deploy: Deploy, engine: Engine) -> None:
    args = PrivateRegistryArgs(users=["jean", "marie"], pull_secrets=["builds", "kube-system"], namespace="team")
    outputs = deploy(lambda: PrivateRegistry("registry", args))
    for namespace in ("builds", "kube-system"):
        secret = engine.by_name(f"registry-pull-secrets-{namespace}").inputs
        assert (secret["metadata"]["namespace"], secret["metadata"]["name"]) == (namespace, "team-pull")
        assert secret["type"] == "kubernetes.io/dockerconfigjson"
        assert is_secret(secret["data"])
        ((endpoint, login),) = logins(engine, f"registry-pull-secrets-{namespace}").items()
        assert endpoint == outputs["endpoint"] == "docker-registry.team.svc:5000"
        password = outputs["passwords"]["pull"]
        assert (login["username"], login["password"]) == ("pull", password)
        assert b64decode(login["auth"]).decode() == f"pull:{password}"


def test_a_changed_password_patches_the_secret_and_does_not_replace_it(deploy: Deploy, engine: Engine) -> None:
    deploy(lambda: PrivateRegistry("registry", {"pull_secrets": ["builds"]}))
    secret, patch = (
        engine.by_name("registry-pull-secrets-builds"),
        engine.by_name("registry-pull-secrets-builds-current"),
    )
    assert list(secret.request.ignoreChanges) == ["data"], "The provider would replace the Secret."
    assert logins(engine, secret.name) == logins(engine, patch.name)
    assert is_secret(patch.inputs["data"])
    assert patch.inputs["metadata"]["annotations"] == {"pulumi.com/patchForce": "true"}, "The Secret owns the key."
    assert patch.request.deletedWith.endswith("::registry-pull-secrets-builds"), (
        "Deleted alone, it cannot give up the key."
    )
    dependencies = [urn.rpartition("::")[2] for urn in patch.request.dependencies]
    assert "registry-pull-secrets-builds" in dependencies, "Without the Secret it would create one of another type."


@pytest.mark.parametrize("dependency", ["registry-namespace", "registry-access"], ids=["leases", "users"])
def test_a_pull_secret_waits_for_the_leases_and_the_users(deploy: Deploy, engine: Engine, dependency: str) -> None:
    deploy(lambda: PrivateRegistry("registry", {"pull_secrets": ["builds"]}))
    for name in ("registry-pull-secrets-builds", "registry-pull-secrets-builds-current"):
        assert any(urn.endswith(f"::{dependency}") for urn in engine.by_name(name).request.dependencies)


@pytest.mark.parametrize(
    ("endpoint", "hosts"),
    [
        ("docker-registry:5000", ["docker-registry:5000"]),
        ("registry.example.com:443", ["registry.example.com:443", "registry.example.com"]),
        ("registry.example.com:1443", ["registry.example.com:1443"]),
    ],
)
def test_the_login_also_applies_without_the_port_of_https(endpoint: str, hosts: list[str]) -> None:
    assert list(json.loads(docker_config(endpoint, "jean", "p"))["auths"]) == hosts


def test_a_name_and_a_password_may_contain_any_characters() -> None:
    login = json.loads(docker_config("r:5000", "jürgen", 'pä:"ss\\'))["auths"]["r:5000"]
    assert b64decode(login["auth"]).decode().partition(":") == ("jürgen", ":", 'pä:"ss\\')


def test_the_default_service_account_is_not_patched_by_default(deploy: Deploy, engine: Engine) -> None:
    engine.found[ACCOUNT] = {"metadata": {"name": "default"}, "imagePullSecrets": [{"name": "other"}]}
    deploy(lambda: PrivateRegistry("registry", {"pull_secrets": ["builds"]}))
    assert not [each for each in engine.resources if "ServiceAccount" in each.type]


@pytest.mark.parametrize("pull_secrets", [None, [], [{"name": "docker-registry-pull"}]], ids=["none", "empty", "own"])
def test_the_default_service_account_uses_the_secret_if_it_has_no_other(
    deploy: Deploy, engine: Engine, pull_secrets: Any
) -> None:
    engine.found[ACCOUNT] = {"metadata": {"name": "default"}, "imagePullSecrets": pull_secrets}
    deploy(lambda: PrivateRegistry("registry", DEFAULT))
    patch = engine.one("ServiceAccountPatch")
    assert patch.inputs["metadata"] == {"name": "default", "namespace": "builds"}, (
        "Without force, the list of another owner is a conflict."
    )
    assert patch.inputs["imagePullSecrets"] == [{"name": "docker-registry-pull"}]
    assert any(urn.endswith("::registry-pull-secrets-builds") for urn in patch.request.dependencies)


def test_two_registries_have_different_secrets_in_one_namespace(deploy: Deploy, engine: Engine) -> None:
    def program() -> PrivateRegistry:
        first = PrivateRegistry("first", {"pull_secrets": ["builds"], "storage": Storage.S3, "s3_bucket": "first"})
        second = {"pull_secrets": ["builds"], "namespace": "second", "storage": "s3", "s3_bucket": "second"}
        first.passwords = PrivateRegistry("second", second).passwords  # type: ignore[arg-type]
        return first

    deploy(program)
    names = [each.inputs["metadata"]["name"] for each in engine.resources if each.name.endswith("-pull-secrets-builds")]
    assert sorted(names) == ["docker-registry-pull", "second-pull"]


def test_discovery_creates_the_config_map_that_tools_read(deploy: Deploy, engine: Engine) -> None:
    args = PrivateRegistryArgs(discovery=True, namespace="team", exposure=Exposure.NODE_PORT, node_port=30500)
    deploy(lambda: PrivateRegistry("registry", args))
    config_map = engine.one("ConfigMap").inputs
    assert (config_map["metadata"]["namespace"], config_map["metadata"]["name"]) == (
        "kube-public",
        "local-registry-hosting",
    )
    assert json.loads(config_map["data"]["localRegistryHosting.v1"]) == {
        "host": "docker-registry:30500",
        "hostFromContainerRuntime": "docker-registry:30500",
        "hostFromClusterNetwork": "docker-registry.team.svc:5000",
    }


def test_by_default_there_are_no_pull_secrets_and_no_discovery(deploy: Deploy, engine: Engine) -> None:
    deploy(lambda: PrivateRegistry("registry", {}))
    assert not [each for each in engine.resources if each.type.endswith(("ConfigMap", "SecretPatch"))]
