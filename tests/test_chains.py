"""For every way to a certificate, clients that trust `ca_pem` alone accept what the registry serves, for the host.

A way that some client refuses is refused. e2e/test_oracles.py draws more chains, and asks Go too.
"""

import subprocess
from itertools import permutations
from pathlib import Path

import pytest

from registry.inputs.table import INPUTS
from registry.validation import InvalidInput
from registry.validation.chains import TypedHost, validate_server_chain
from registry.validation.pem import to_pem
from registry.validation.system_roots import system_roots
from tests.issuing import CertificateSpec, IssuedCertificate, issue, server_spec
from tests.test_spellings import HOST, ISSUING_CA, ROOT, TLS
from tests.tls_clients import ServedChain, openssl_objection, python_objection

LEAF = issue(server_spec(HOST), ISSUING_CA)
DIRECT = issue(server_spec(HOST), ROOT)
SELF_SIGNED = issue(server_spec(HOST, usage=("digital_signature",)))
SELF_SIGNED_CA = issue(server_spec(HOST, ca=True, usage=("digital_signature", "key_cert_sign")))
OTHER_ROOT = issue(CertificateSpec("Another root"))
SAME_NAME = issue(CertificateSpec("Root"))


def bundle(*issued: IssuedCertificate) -> str:
    return "".join(item.pem for item in issued)


EXISTING: list[tuple[str, IssuedCertificate, str, str | None, str]] = [
    # description, server certificate, CAs after it in tls.crt, ca.crt, code of the refusal or ""
    ("issued by a root, which is served", DIRECT, bundle(ROOT), None, ""),
    ("issued by a root, which is in ca.crt", DIRECT, "", bundle(ROOT), ""),
    ("issued by a root that is nowhere", DIRECT, "", None, "root-missing"),
    ("whole chain", LEAF, bundle(ISSUING_CA, ROOT), None, ""),
    ("whole chain, ca.crt empty", LEAF, bundle(ISSUING_CA, ROOT), "", ""),
    ("whole chain, root in ca.crt", LEAF, bundle(ISSUING_CA, ROOT), bundle(ROOT), ""),
    ("intermediate, root in ca.crt", LEAF, bundle(ISSUING_CA), bundle(ROOT), ""),
    ("intermediate, roots of a rotation in ca.crt", LEAF, bundle(ISSUING_CA), bundle(OTHER_ROOT, ROOT), ""),
    ("both CAs in ca.crt", LEAF, "", bundle(ISSUING_CA, ROOT), ""),
    ("both CAs in ca.crt, root first", LEAF, "", bundle(ROOT, ISSUING_CA), ""),
    ("intermediate, both CAs in ca.crt", LEAF, bundle(ISSUING_CA), bundle(ISSUING_CA, ROOT), ""),
    ("root in ca.crt, no intermediate", LEAF, "", bundle(ROOT), "intermediate-missing"),
    ("intermediate, no root", LEAF, bundle(ISSUING_CA), None, "root-missing"),
    ("intermediate, ca.crt empty", LEAF, bundle(ISSUING_CA), "", "root-missing"),
    ("intermediate, which is in ca.crt", LEAF, bundle(ISSUING_CA), bundle(ISSUING_CA), "root-missing"),
    ("whole chain, intermediate in ca.crt", LEAF, bundle(ISSUING_CA, ROOT), bundle(ISSUING_CA), "root-missing"),
    ("whole chain, another root in ca.crt", LEAF, bundle(ISSUING_CA, ROOT), bundle(OTHER_ROOT), "root-missing"),
    ("another root of the same name", LEAF, bundle(ISSUING_CA), bundle(SAME_NAME), "root-missing"),
    ("server certificate in ca.crt", LEAF, bundle(ISSUING_CA), bundle(LEAF), "root-missing"),
    ("self-signed", SELF_SIGNED, "", None, ""),
    ("self-signed, in ca.crt", SELF_SIGNED, "", bundle(SELF_SIGNED), ""),
    ("self-signed CA", SELF_SIGNED_CA, "", None, ""),
    ("self-signed, another root in ca.crt", SELF_SIGNED, "", bundle(ROOT), "root-missing"),
]


def validate(server: IssuedCertificate, above: str, ca: str | None) -> str:
    texts = {"tls.crt": server.pem + above, "tls.key": server.key_pem} | ({"ca.crt": ca} if ca else {})
    return to_pem(validate_server_chain(TLS, texts, TypedHost(HOST), list).trusted)


@pytest.mark.parametrize(
    ("server", "above", "ca", "code"), [row[1:] for row in EXISTING], ids=[row[0] for row in EXISTING]
)
def test_an_existing_certificate_is_accepted_exactly_if_clients_accept_it(
    tmp_path: Path, server: IssuedCertificate, above: str, ca: str | None, code: str
) -> None:
    if code:
        with pytest.raises(InvalidInput) as refusal:
            validate(server, above, ca)
        assert (refusal.value.key, refusal.value.code) == ("tls_secret", code)
    served = ServedChain(
        server.pem + above,
        server.key_pem,
        (ca or above or server.pem) if code else validate(server, above, ca),
        (HOST,),
    )
    objections = python_objection(served, tmp_path), openssl_objection(served, tmp_path)
    assert all(objections) if code else objections == ("", "")


@pytest.mark.parametrize(
    ("above", "ca", "name"),
    [("", ROOT.pem, "Issuing CA"), (ISSUING_CA.pem, None, "Root"), ("", ISSUING_CA.pem, "Root")],
)
def test_a_refusal_names_the_missing_certificate(above: str, ca: str | None, name: str) -> None:
    with pytest.raises(InvalidInput, match=f"lacks the .*certificate of 'CN={name}'"):
        validate(LEAF, above, ca)


def test_the_root_of_a_public_ca_comes_from_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers with a certificate of a public CA send no root, and cert-manager writes no ca.crt for it."""
    store = tmp_path / "roots.pem"
    store.write_text(bundle(OTHER_ROOT, ROOT))
    monkeypatch.setenv("SSL_CERT_FILE", str(store))
    texts = {"tls.crt": LEAF.pem + ISSUING_CA.pem, "tls.key": LEAF.key_pem}
    trusted = to_pem(validate_server_chain(TLS, texts, TypedHost(HOST), system_roots).trusted)
    assert trusted == ISSUING_CA.pem + ROOT.pem
    assert python_objection(ServedChain(texts["tls.crt"], LEAF.key_pem, trusted, (HOST,)), tmp_path) == ""
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


def test_a_given_ca_needs_its_root_and_then_clients_accept_what_it_issues(tmp_path: Path) -> None:
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


UNREADABLE: list[tuple[str, str, str]] = [
    # description, arguments of openssl, code
    (
        "explicit parameters",
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


@pytest.mark.parametrize(("arguments", "code"), [row[1:] for row in UNREADABLE], ids=[row[0] for row in UNREADABLE])
def test_a_ca_that_go_or_a_strict_client_does_not_read_is_refused(tmp_path: Path, arguments: str, code: str) -> None:
    """OpenSSL writes such certificates, and `cryptography` reads them."""
    command = f"openssl req -x509 -nodes {arguments} -addext keyUsage=critical,keyCertSign -subj /CN=x -keyout k -out c"
    subprocess.run(command.split(), cwd=tmp_path, capture_output=True, check=True)
    with pytest.raises(InvalidInput) as refusal:
        INPUTS["ca_certificate"].rule((tmp_path / "c").read_text())
    assert (refusal.value.key, refusal.value.code) == ("ca_certificate", code)
