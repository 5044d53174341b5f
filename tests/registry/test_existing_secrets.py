"""The component uses the values in existing Secrets and in the config, not the form of their files."""

import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from registry import PrivateRegistry
from registry.validation import InvalidInput
from tests.conftest import Deploy, Engine, configuration, to_base64, unwrap_secret
from tests.issuing import CertificateSpec, issue, server_spec

ROOT = issue(CertificateSpec("Root"))
ISSUING_CA = issue(CertificateSpec("Issuing CA"), ROOT)
SERVER = issue(server_spec("docker-registry.docker-registry.svc"), ISSUING_CA)
EXISTING: dict[str, Any] = {"create_namespace": False}
S3 = {
    **EXISTING,
    "storage": "s3",
    "s3_bucket": "images",
    "s3_endpoint": "http://192.168.56.1:39999",
    "s3_secret": "bucket",
}


def deploy_registry(deploy: Deploy, **args: Any) -> dict[str, Any]:
    return deploy(lambda: PrivateRegistry("registry", cast(Any, args)))


def tls_data(chain: str, **more: str) -> dict[str, Any]:
    data = {"tls.crt": to_base64(chain), "tls.key": to_base64(SERVER.key_pem)}
    return {"registry-tls-from-kubectl-get-secrets": {"data": {**data, **more}}}


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_s3_keys_lose_the_line_end_and_the_byte_order_mark_of_their_files(
    deploy: Deploy, engine: Engine, end: str
) -> None:
    data = {"access-key": to_base64(f"KEY{end}"), "secret-key": to_base64(f"\ufeffSECRET{end}")}
    engine.live["registry-data-from-kubectl-get-secrets"] = {"data": data}
    deploy_registry(deploy, **S3)
    driver = configuration(engine)["storage"]["s3"]
    assert (driver["accesskey"], driver["secretkey"]) == ("KEY", "SECRET")


def test_an_s3_key_of_two_lines_is_refused_with_the_command_for_its_secret(deploy: Deploy, engine: Engine) -> None:
    data = {"access-key": to_base64("KEY\nSECRET\n"), "secret-key": to_base64("SECRET\n")}
    engine.live["registry-data-from-kubectl-get-secrets"] = {"data": data}
    with pytest.raises(InvalidInput) as refusal:
        deploy_registry(deploy, **S3)
    assert (refusal.value.key, refusal.value.code) == ("s3_secret", "not-a-credential")
    assert "`kubectl create secret generic bucket --namespace=docker-registry " in refusal.value.remedy
    assert "SECRET" not in str(refusal.value)


def test_other_data_of_a_secret_may_be_binary(deploy: Deploy, engine: Engine) -> None:
    """cert-manager adds key stores to a TLS Secret."""
    key_store = b64encode(b"\xfe\xed\xfe\xed").decode()
    engine.live.update(tls_data(SERVER.pem + ISSUING_CA.pem + ROOT.pem, **{"keystore.jks": key_store}))
    assert deploy_registry(deploy, tls_secret="tls", **EXISTING)["ca_pem"] == ISSUING_CA.pem + ROOT.pem


@pytest.mark.parametrize("ca", ["", to_base64(ROOT.pem)], ids=["empty", "with a CA"])
def test_a_ca_file_counts_only_if_it_is_not_empty(deploy: Deploy, engine: Engine, ca: str) -> None:
    engine.live.update(tls_data(SERVER.pem + ISSUING_CA.pem + ROOT.pem, **{"ca.crt": ca}))
    assert deploy_registry(deploy, tls_secret="tls", **EXISTING)["ca_pem"] == (
        ROOT.pem if ca else ISSUING_CA.pem + ROOT.pem
    )


@pytest.mark.parametrize(
    ("chain", "ca", "code", "command"),
    [
        (SERVER.pem, to_base64(ROOT.pem), "intermediate-missing", "cat intermediate.pem >> tls.crt"),
        (SERVER.pem + ISSUING_CA.pem, "", "root-missing", "cat root.pem >> ca.crt"),
    ],
    ids=["no intermediate", "no root"],
)
def test_a_missing_ca_is_refused_with_commands_for_its_secret(
    deploy: Deploy, engine: Engine, chain: str, ca: str, code: str, command: str
) -> None:
    engine.live.update(tls_data(chain, **{"ca.crt": ca}))
    with pytest.raises(InvalidInput) as refusal:
        deploy_registry(deploy, tls_secret="server-certificate", **EXISTING)
    assert (refusal.value.key, refusal.value.code) == ("tls_secret", code)
    assert f"`{command}`" in refusal.value.remedy
    assert "`kubectl create secret generic server-certificate --namespace=docker-registry " in refusal.value.remedy
    assert "pulumi config set" not in refusal.value.remedy
    assert "registry-workload-pod" not in [each.name for each in engine.resources]


def test_a_ca_key_of_openssl_is_handed_to_the_provider_as_pkcs8(deploy: Deploy, engine: Engine, tmp_path: Path) -> None:
    """`openssl ecparam` writes a block EC PARAMETERS first, the only one that the provider would read."""
    command = "openssl ecparam -name prime256v1 -genkey -out k && openssl req -x509 -new -key k -days 3650 -subj /CN=x "
    command += "-addext keyUsage=critical,keyCertSign,cRLSign -out c"
    subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, check=True)
    key = (tmp_path / "k").read_text()
    assert key.startswith("-----BEGIN EC PARAMETERS-----")
    deploy_registry(deploy, ca_certificate=(tmp_path / "c").read_text(), ca_key=key)
    used = unwrap_secret(engine.one("LocallySignedCert").inputs["caPrivateKeyPem"])
    assert used.startswith("-----BEGIN PRIVATE KEY-----")
    first, second = (load_pem_private_key(text.encode(), None) for text in (key, used))
    assert first.public_key() == second.public_key()


def test_no_character_is_escaped_in_a_way_that_gos_yaml_reader_refuses(deploy: Deploy, engine: Engine) -> None:
    mirror = {"mode": "mirror", "mirror_of": "https://registry.example.com", "mirror_username": "ci"}
    deploy_registry(deploy, mirror_password='p\U0001f511\\é"', **mirror)
    file = unwrap_secret(engine.by_name("registry-workload-configuration").inputs["stringData"])["config.yml"]
    assert '"p\U0001f511\\\\é\\""' in file
    assert "\\u" not in file
