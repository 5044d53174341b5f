"""Storage in a container of Azure Blob Storage: the driver of the registry, its key, and the refusals of the key."""

import json
from base64 import b64encode
from typing import Any, cast

import pytest

from registry import PrivateRegistry
from registry.validation import InvalidInput
from tests.conftest import Deploy, Engine, configuration, store_parameters, to_base64, unwrap_secret
from tests.examples import CA

CONTAINER: dict[str, Any] = {"storage": "azure", "azure_account": "team", "azure_container": "images"}
WITH_KEY: dict[str, Any] = {**CONTAINER, "azure_secret": "key", "create_namespace": False}
KEY = b64encode(b"a key of 64 bytes").decode()


def section(deploy: Deploy, engine: Engine, **args: Any) -> dict[str, Any]:
    """Deploy a registry, and return the parameters of its driver."""
    deploy(lambda: PrivateRegistry("registry", cast(Any, args)))
    return store_parameters(engine, "azure")


def store_key(engine: Engine, key: str) -> None:
    engine.live["registry-data-from-kubectl-get-secrets"] = {"data": {"account-key": to_base64(key)}}


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_driver_has_the_key_of_the_secret_without_its_line_end(deploy: Deploy, engine: Engine, end: str) -> None:
    store_key(engine, f"\ufeff{KEY}{end}")
    assert section(deploy, engine, **WITH_KEY) == {
        "accountname": "team",
        "container": "images",
        "credentials": {"type": "shared_key"},
        "accountkey": KEY,
    }


def test_without_a_secret_the_registry_looks_for_a_role(deploy: Deploy, engine: Engine) -> None:
    names = {"accountname": "team", "container": "images"}
    assert section(deploy, engine, **CONTAINER) == {**names, "credentials": {"type": "default_credentials"}}


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("https://team.blob.core.chinacloudapi.cn", "https://team.blob.core.chinacloudapi.cn"),
        ("https://azurite.example.com:10000", "https://azurite.example.com:10000/team"),
        ("https://teams.example.com", "https://teams.example.com/team"),
        ("https://[2001:db8::7]:10000", "https://[2001:db8::7]:10000/team"),
    ],
)
def test_the_account_is_in_the_host_of_the_url_or_in_its_path(
    deploy: Deploy, engine: Engine, endpoint: str, url: str
) -> None:
    driver = section(deploy, engine, **CONTAINER, azure_endpoint=endpoint, azure_prefix="a/b")
    assert (driver["serviceurl"], driver["rootdirectory"]) == (url, "/a/b")


def test_the_registry_checks_its_container_and_the_port_of_an_endpoint(deploy: Deploy, engine: Engine) -> None:
    section(deploy, engine, **CONTAINER, azure_endpoint="https://azurite.example.com:10000", upstream_ca=CA.pem)
    health = configuration(engine)["health"]
    assert health["storagedriver"]["enabled"]
    assert health["tcp"][0]["addr"] == "azurite.example.com:10000"
    assert not any("persistentVolumeClaim" in volume for volume in engine.one("Pod").inputs["spec"]["volumes"])


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("DefaultEndpointsProtocol=https;AccountName=team;AccountKey=aHVudGVyMg==", "not-an-account-key"),
        ("?sv=2024-11-04&sig=hunter2", "not-an-account-key"),
        ("hunter2", "not-an-account-key"),
        (f"{KEY}\n{KEY}", "not-a-credential"),
    ],
)
def test_another_text_than_a_key_is_refused_with_the_command_for_its_secret(
    deploy: Deploy, engine: Engine, key: str, code: str
) -> None:
    store_key(engine, key)
    with pytest.raises(InvalidInput) as refusal:
        section(deploy, engine, **WITH_KEY)
    assert (refusal.value.key, refusal.value.code) == ("azure_secret", code)
    assert "kubectl create secret generic key --namespace=docker-registry --from-file=account-key" in (
        refusal.value.remedy
    )
    assert key not in str(refusal.value)


def test_the_exporter_does_not_read_the_container(deploy: Deploy, engine: Engine) -> None:
    store_key(engine, KEY)
    monitoring = {"metrics": True, "service_monitor": True, "alerts": True}
    section(deploy, engine, **WITH_KEY, **monitoring)
    data = engine.by_name("registry-exporter-settings").inputs["stringData"]
    assert json.loads(unwrap_secret(data)["settings.json"])["storage"] is None
