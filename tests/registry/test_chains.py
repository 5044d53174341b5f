"""The rules accept a certificate or a CA exactly if clients accept the chain that the registry then serves.

The clients trust the output `ca_pem` alone, and connect to the host. tests/e2e/test_oracles.py draws more chains, and
asks Go too.
"""

import subprocess
from itertools import permutations
from pathlib import Path

import pytest
from cryptography import x509

from registry.inputs.table import INPUTS
from registry.validation import InvalidInput
from registry.validation.chains import TypedHost, validate_server_chain
from registry.validation.pem import to_pem
from registry.validation.system_roots import system_roots
from tests.file_inputs import HOST, ISSUING_CA, ROOT, TLS
from tests.issuing import CertificateSpec, IssuedCertificate, issue, server_spec
from tests.tls_clients import ServedChain, openssl_objection, python_objection

SERVER = issue(server_spec(HOST), ISSUING_CA)
SERVER_OF_ROOT = issue(server_spec(HOST), ROOT)
SELF_SIGNED = issue(server_spec(HOST, usage=("digital_signature",)))
SELF_SIGNED_CA = issue(server_spec(HOST, ca=True, usage=("digital_signature", "key_cert_sign")))
OTHER_ROOT = issue(CertificateSpec("Another root"))
ROOT_OF_SAME_NAME = issue(CertificateSpec("Root"))


def bundle(*issued: IssuedCertificate) -> str:
    """Return the certificates in one PEM file."""
    return "".join(item.pem for item in issued)


EXISTING: list[tuple[str, IssuedCertificate, str, str | None, str]] = [
    # description, server certificate, its issuers in tls.crt, ca.crt, code of the refusal or ""
    ("issued by a root, which is served", SERVER_OF_ROOT, bundle(ROOT), None, ""),
    ("issued by a root, which is in ca.crt", SERVER_OF_ROOT, "", bundle(ROOT), ""),
    ("issued by a root that is nowhere", SERVER_OF_ROOT, "", None, "root-missing"),
    ("whole chain", SERVER, bundle(ISSUING_CA, ROOT), None, ""),
    ("whole chain, ca.crt empty", SERVER, bundle(ISSUING_CA, ROOT), "", ""),
    ("whole chain, root in ca.crt", SERVER, bundle(ISSUING_CA, ROOT), bundle(ROOT), ""),
    ("intermediate, root in ca.crt", SERVER, bundle(ISSUING_CA), bundle(ROOT), ""),
    ("intermediate, roots of a rotation in ca.crt", SERVER, bundle(ISSUING_CA), bundle(OTHER_ROOT, ROOT), ""),
    ("both CAs in ca.crt", SERVER, "", bundle(ISSUING_CA, ROOT), ""),
    ("both CAs in ca.crt, root first", SERVER, "", bundle(ROOT, ISSUING_CA), ""),
    ("intermediate, both CAs in ca.crt", SERVER, bundle(ISSUING_CA), bundle(ISSUING_CA, ROOT), ""),
    ("root in ca.crt, no intermediate", SERVER, "", bundle(ROOT), "intermediate-missing"),
    ("intermediate, no root", SERVER, bundle(ISSUING_CA), None, "root-missing"),
    ("intermediate, ca.crt empty", SERVER, bundle(ISSUING_CA), "", "root-missing"),
    ("intermediate, which is in ca.crt", SERVER, bundle(ISSUING_CA), bundle(ISSUING_CA), "root-missing"),
    ("whole chain, intermediate in ca.crt", SERVER, bundle(ISSUING_CA, ROOT), bundle(ISSUING_CA), "root-missing"),
    ("whole chain, another root in ca.crt", SERVER, bundle(ISSUING_CA, ROOT), bundle(OTHER_ROOT), "root-missing"),
    ("another root of the same name", SERVER, bundle(ISSUING_CA), bundle(ROOT_OF_SAME_NAME), "root-missing"),
    ("server certificate in ca.crt", SERVER, bundle(ISSUING_CA), bundle(SERVER), "root-missing"),
    ("self-signed", SELF_SIGNED, "", None, ""),
    ("self-signed, in ca.crt", SELF_SIGNED, "", bundle(SELF_SIGNED), ""),
    ("self-signed CA", SELF_SIGNED_CA, "", None, ""),
    ("self-signed, another root in ca.crt", SELF_SIGNED, "", bundle(ROOT), "root-missing"),
]


def ca_pem_of(server: IssuedCertificate, issuers: str, ca_crt: str | None) -> str:
    """Return the output `ca_pem` for a TLS Secret with these files. Raise `InvalidInput` if the rules refuse them."""
    texts = {"tls.crt": server.pem + issuers, "tls.key": server.key_pem} | ({"ca.crt": ca_crt} if ca_crt else {})
    return to_pem(validate_server_chain(TLS, texts, TypedHost(HOST), no_system_roots).trusted)


def no_system_roots() -> list[x509.Certificate]:
    return []


@pytest.mark.parametrize(
    ("server", "issuers", "ca_crt", "code"), [row[1:] for row in EXISTING], ids=[row[0] for row in EXISTING]
)
def test_an_existing_certificate_is_accepted_exactly_if_clients_accept_it(
    tmp_path: Path, server: IssuedCertificate, issuers: str, ca_crt: str | None, code: str
) -> None:
    if code:
        with pytest.raises(InvalidInput) as refusal:
            ca_pem_of(server, issuers, ca_crt)
        assert (refusal.value.key, refusal.value.code) == ("tls_secret", code)
        trusted = ca_crt or issuers or server.pem  # all that clients could get from the Secret
    else:
        trusted = ca_pem_of(server, issuers, ca_crt)
    served = ServedChain(server.pem + issuers, server.key_pem, trusted, (HOST,))
    objections = python_objection(served, tmp_path), openssl_objection(served, tmp_path)
    if code:
        assert all(objections)
    else:
        assert objections == ("", "")


@pytest.mark.parametrize(
    ("issuers", "ca_crt", "name"),
    [("", ROOT.pem, "Issuing CA"), (ISSUING_CA.pem, None, "Root"), ("", ISSUING_CA.pem, "Root")],
    ids=["only the root in ca.crt", "only the issuing CA in tls.crt", "only the issuing CA in ca.crt"],
)
def test_a_refusal_names_the_missing_certificate(issuers: str, ca_crt: str | None, name: str) -> None:
    with pytest.raises(InvalidInput, match=f"lacks the .*certificate of 'CN={name}'"):
        ca_pem_of(SERVER, issuers, ca_crt)


def test_the_root_of_a_public_ca_comes_from_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers with a certificate of a public CA send no root, and cert-manager writes no ca.crt for it."""
    store = tmp_path / "roots.pem"
    store.write_text(bundle(OTHER_ROOT, ROOT))
    monkeypatch.setenv("SSL_CERT_FILE", str(store))
    texts = {"tls.crt": SERVER.pem + ISSUING_CA.pem, "tls.key": SERVER.key_pem}
    trusted = to_pem(validate_server_chain(TLS, texts, TypedHost(HOST), system_roots).trusted)
    assert trusted == ISSUING_CA.pem + ROOT.pem
    assert python_objection(ServedChain(texts["tls.crt"], SERVER.key_pem, trusted, (HOST,)), tmp_path) == ""
    store.write_text(bundle(OTHER_ROOT))
    with pytest.raises(InvalidInput) as refusal:
        validate_server_chain(TLS, texts, TypedHost(HOST), system_roots)
    assert refusal.value.code == "root-missing"


def test_the_trust_store_of_a_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "abcdef01.0").write_text(ROOT.pem)
    (tmp_path / "abcdef02.0").write_text("no certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert system_roots() == [ROOT.certificate]


def test_a_supplied_ca_needs_its_root_and_clients_accept_its_certificates(tmp_path: Path) -> None:
    for ca, value in ((ROOT, ROOT.pem), (ISSUING_CA, ISSUING_CA.pem + ROOT.pem)):
        trusted = INPUTS["ca_certificate"].rule(value)
        server = issue(server_spec(HOST), ca)
        served = ServedChain(server.pem + trusted, server.key_pem, trusted, (HOST,))
        assert (python_objection(served, tmp_path), openssl_objection(served, tmp_path)) == ("", "")
    with pytest.raises(InvalidInput) as refusal:
        INPUTS["ca_certificate"].rule(ISSUING_CA.pem)
    assert (refusal.value.key, refusal.value.code) == ("ca_certificate", "root-missing")


def test_the_cas_of_a_file_may_be_in_any_order_and_twice() -> None:
    middle = issue(CertificateSpec("Middle CA"), ROOT)
    lowest = issue(CertificateSpec("Lowest CA"), middle)
    for order in permutations([lowest, middle, ROOT]):
        assert INPUTS["ca_certificate"].rule(bundle(*order, order[0])) == bundle(lowest, middle, ROOT)


UNPORTABLE: list[tuple[str, str, str]] = [
    # description, arguments of openssl, code
    (
        "explicit curve parameters",
        "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit",
        "key-encoding",
    ),
    ("RSA for PSS only", "-newkey rsa-pss -pkeyopt rsa_keygen_bits:2048", "key-encoding"),
    ("negative serial number", "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -set_serial -5", "negative-serial"),
    (
        "critical key identifier",
        "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -addext subjectKeyIdentifier=critical,hash",
        "unknown-critical-extension",
    ),
]


@pytest.mark.parametrize(("arguments", "code"), [row[1:] for row in UNPORTABLE], ids=[row[0] for row in UNPORTABLE])
def test_a_ca_that_go_or_a_strict_client_does_not_read_is_refused(tmp_path: Path, arguments: str, code: str) -> None:
    """OpenSSL writes such certificates and `cryptography` reads them. Go refuses them, or a strict client does."""
    usage = "-addext keyUsage=critical,keyCertSign"
    command = f"openssl req -x509 -nodes {arguments} {usage} -subj /CN=x -keyout ca.key -out ca.pem"
    subprocess.run(command.split(), cwd=tmp_path, capture_output=True, check=True)
    with pytest.raises(InvalidInput) as refusal:
        INPUTS["ca_certificate"].rule((tmp_path / "ca.pem").read_text())
    assert (refusal.value.key, refusal.value.code) == ("ca_certificate", code)
