"""With `s3_redirect`, clients download layers from the bucket, so they must trust its CA and reach its server."""

from typing import Any

import pytest

from ops.registry_client import open_client
from ops.stack import Outputs
from registry import PrivateRegistry
from tests.conftest import Deploy, Engine, configuration, unwrap_secret
from tests.examples import CA

KEYS: dict[str, Any] = {"s3_access_key": "AKIA1", "s3_secret_key": "hunter23"}
BUCKET: Any = {"storage": "s3", "s3_bucket": "images", "s3_endpoint": "https://s3.example.com", **KEYS}
COLLECT: Any = {"collect": {"schedule": "0 2 * * *"}}


@pytest.mark.parametrize("has_redirect", [False, True])
def test_clients_and_nodes_trust_the_ca_of_the_bucket_only_if_they_are_sent_there(
    deploy: Deploy, engine: Engine, has_redirect: bool
) -> None:
    args: Any = {**BUCKET, "s3_redirect": has_redirect, "upstream_ca": CA.pem, "node_trust": True}
    ca_pem = deploy(lambda: PrivateRegistry("registry", args))["ca_pem"]
    assert ca_pem.endswith(CA.pem) == has_redirect
    assert ca_pem.count("BEGIN CERTIFICATE") == 1 + has_redirect
    files = "".join(engine.by_name("registry-nodes-files").inputs["data"].values())
    assert (CA.pem in files) == has_redirect
    assert configuration(engine)["storage"]["redirect"] == {"disable": not has_redirect}


def test_the_registry_and_the_jobs_make_objects_with_the_encryption_and_the_class_of_the_inputs(
    deploy: Deploy, engine: Engine
) -> None:
    objects: Any = {"s3_encrypt": True, "s3_kms_key": "alias/registry", "s3_storage_class": "STANDARD_IA"}
    deploy(lambda: PrivateRegistry("registry", BUCKET | objects | COLLECT))
    driver = configuration(engine)["storage"]["s3"]
    assert (driver["encrypt"], driver["keyid"], driver["storageclass"]) == (True, "alias/registry", "STANDARD_IA")
    files = unwrap_secret(engine.by_name("registry-maintenance-settings").inputs["stringData"])
    assert (
        '"object_headers": {"x-amz-server-side-encryption": "aws:kms", '
        '"x-amz-server-side-encryption-aws-kms-key-id": "alias/registry", "x-amz-storage-class": "STANDARD_IA"}'
    ) in files["settings.json"]


def test_by_default_the_driver_has_no_options_for_objects(deploy: Deploy, engine: Engine) -> None:
    deploy(lambda: PrivateRegistry("registry", BUCKET | COLLECT))
    assert not {"encrypt", "keyid", "storageclass"} & configuration(engine)["storage"]["s3"].keys()
    files = unwrap_secret(engine.by_name("registry-maintenance-settings").inputs["stringData"])
    assert '"object_headers": {}' in files["settings.json"]


def test_ops_verify_trusts_public_cas_too_on_the_way_to_a_bucket() -> None:
    outputs = Outputs("registry.example.com:5000", CA.pem, username="centos", password="hunter2", namespace="team")
    with open_client(outputs, None) as client:
        bucket = client.session.get_adapter("https://s3.amazonaws.com/images")
        own = client.session.get_adapter(f"https://{outputs.endpoint}/v2/")
    assert type(bucket) is not type(own)
