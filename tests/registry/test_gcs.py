"""Storage in a bucket of Google Cloud Storage: the driver of the registry, its key, and the refusals of the key."""

import json
from typing import Any, cast

import pytest

from registry import PrivateRegistry
from registry.validation import InvalidInput
from tests.conftest import Deploy, Engine, configuration, store_parameters, to_base64
from tests.issuing import google_key, p256, pem_of

BUCKET: dict[str, Any] = {"storage": "gcs", "gcs_bucket": "images"}
WITH_KEY: dict[str, Any] = {**BUCKET, "gcs_secret": "key", "create_namespace": False}
FILE = google_key()
FIELDS = {name: FILE[name] for name in ("type", "private_key_id", "private_key", "client_email", "token_uri")}
"""The fields of a key that the registry reads."""


def section(deploy: Deploy, engine: Engine, **args: Any) -> dict[str, Any]:
    """Deploy a registry, and return the parameters of its driver."""
    deploy(lambda: PrivateRegistry("registry", cast(Any, args)))
    return store_parameters(engine, "gcs")


def store_key(engine: Engine, content: str) -> None:
    engine.live["registry-data-from-kubectl-get-secrets"] = {"data": {"key.json": to_base64(content)}}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_driver_has_the_fields_of_the_key_that_it_reads(deploy: Deploy, engine: Engine, mark: str) -> None:
    store_key(engine, f"{mark}{json.dumps(FILE)}\n")
    driver = section(deploy, engine, **WITH_KEY)
    assert (driver["bucket"], driver["credentials"]) == ("images", FIELDS)


def test_without_a_secret_the_registry_looks_for_a_role(deploy: Deploy, engine: Engine) -> None:
    assert section(deploy, engine, **BUCKET, gcs_prefix="a/b").keys() == {"bucket", "chunksize", "rootdirectory"}


def test_a_part_of_an_upload_has_a_size_that_google_takes(deploy: Deploy, engine: Engine) -> None:
    assert section(deploy, engine, **BUCKET)["chunksize"] % (256 << 10) == 0


@pytest.mark.parametrize(
    ("proxy", "checks"),
    [({}, ["storage.googleapis.com:443"]), ({"outbound_proxy": {"https": "http://proxy:3128"}}, [])],
)
def test_the_registry_checks_its_bucket_and_without_a_proxy_the_port_of_google(
    deploy: Deploy, engine: Engine, proxy: dict[str, Any], checks: list[str]
) -> None:
    section(deploy, engine, **BUCKET, **proxy)
    health = configuration(engine)["health"]
    assert health["storagedriver"]["enabled"]
    assert [check["addr"] for check in health.get("tcp", [])] == checks
    assert not any("persistentVolumeClaim" in volume for volume in engine.one("Pod").inputs["spec"]["volumes"])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (FIELDS["private_key"], "not-a-service-account-key"),
        ('["hunter2"]', "not-a-service-account-key"),
        (json.dumps({**FILE, "type": "authorized_user", "refresh_token": "hunter2"}), "not-a-service-account-key"),
        *[(json.dumps({**FILE, field: ""}), "not-a-service-account-key") for field in FIELDS],
        (json.dumps({**FILE, "private_key": "hunter2"}), "unreadable-key"),
        (json.dumps({**FILE, "private_key": pem_of(p256())}), "not-a-service-account-key"),
    ],
)
def test_another_file_than_the_key_of_a_service_account_is_refused_with_the_command_for_its_secret(
    deploy: Deploy, engine: Engine, content: str, code: str
) -> None:
    store_key(engine, content)
    with pytest.raises(InvalidInput) as refusal:
        section(deploy, engine, **WITH_KEY)
    assert (refusal.value.key, refusal.value.code) == ("gcs_secret", code)
    assert "kubectl create secret generic key --namespace=docker-registry --from-file=key.json" in refusal.value.remedy
    assert "hunter2" not in str(refusal.value)
    assert FIELDS["private_key"].splitlines()[1] not in str(refusal.value)
