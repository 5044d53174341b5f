"""Existing certificates, keys and htpasswd files: only those that every client accepts are accepted."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from registry.inputs.table import INPUTS
from registry.validation import InvalidInput, chains
from registry.validation.chains import ServedChain, TypedHost
from registry.validation.users import htpasswd
from tests.file_inputs import TLS
from tests.issuing import ANY, CLIENT, SERVER, CertificateSpec, IssuedCertificate, Key, issue, server_spec

HOST = "docker-registry"
CA = issue(CertificateSpec())
OTHER_CA = issue(CertificateSpec("Another CA"))
ISSUING_CA = issue(CertificateSpec("Issuing CA", pathlen=0), CA)


def validate(chain: str, key: str, host: str = HOST) -> ServedChain:
    """Apply the rules to a TLS Secret without a ca.crt, on a machine that trusts no CA."""
    return chains.validate_server_chain(TLS, {"tls.crt": chain, "tls.key": key}, TypedHost(host), list)


@cache
def short_rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)


def ca_pem(issuer: IssuedCertificate | None = None, key: Key | None = None, **changes: Any) -> str:
    """Issue a CA whose properties differ from the defaults in `changes`. Return its PEM."""
    return issue(replace(CertificateSpec(), **changes), issuer, key).pem


AUTHORITIES: list[tuple[str, Callable[[], str], str]] = [
    # description, function that creates it, code
    ("no PEM", lambda: "a CA", "unreadable-certificates"),
    ("private key", lambda: CA.key_pem, "not-certificates"),
    ("damaged", lambda: CA.pem.replace("M", "N"), "unreadable-certificates"),
    ("too large", lambda: CA.pem * 1000, "not-certificates"),
    ("server certificate", lambda: issue(server_spec(HOST), CA).pem, "not-a-ca"),
    ("no key usage", lambda: ca_pem(usage=None), "not-a-ca"),
    ("wrong key usage", lambda: ca_pem(usage=("digital_signature",)), "not-a-ca"),
    ("no subject key identifier", lambda: ca_pem(subject_key=False), "not-a-ca"),
    ("no subject", lambda: ca_pem(name=""), "not-a-ca"),
    ("basic constraints not critical", lambda: ca_pem(ca_critical=False), "not-a-ca"),
    ("client CA", lambda: ca_pem(extended_usage=(CLIENT,)), "not-a-ca-of-servers"),
    ("name constraints", lambda: ca_pem(permitted_names=("example.com",)), "name-constraints"),
    ("unknown critical extension", lambda: ca_pem(unknown_critical=True), "unknown-critical-extension"),
    ("expired", lambda: ca_pem(starts=-20, days=10), "not-valid-today"),
    ("not yet valid", lambda: ca_pem(starts=1), "not-valid-today"),
    ("RSA of 1024 bits", lambda: ca_pem(key=short_rsa()), "unsupported-key"),
    ("P-224", lambda: ca_pem(key=ec.generate_private_key(ec.SECP224R1())), "unsupported-key"),
    ("Ed25519", lambda: ca_pem(key=ed25519.Ed25519PrivateKey.generate(), hash_algorithm=None), "unsupported-key"),
    ("two unrelated CAs", lambda: CA.pem + OTHER_CA.pem, "not-a-chain"),
    ("expired root", lambda: issuing_ca_chain(issue(CertificateSpec("Old", starts=-20, days=10))), "not-valid-today"),
    (
        "root that allows no CA below it",
        lambda: issuing_ca_chain(issue(CertificateSpec("Root", pathlen=0))),
        "path-length",
    ),
    ("no authority key identifier", lambda: issuing_ca_chain(CA, authority_key=""), "authority-key-identifier"),
    (
        "authority key identifier of another CA",
        lambda: issuing_ca_chain(CA, authority_key="wrong"),
        "authority-key-identifier",
    ),
    ("SHA-224 signature", lambda: issuing_ca_chain(CA, hash_algorithm=hashes.SHA224()), "weak-signature"),
]


def issuing_ca_chain(root: IssuedCertificate, **changes: Any) -> str:
    return ca_pem(root, **{"name": "Issuing CA", **changes}) + root.pem


@pytest.mark.parametrize(("create", "code"), [row[1:] for row in AUTHORITIES], ids=[row[0] for row in AUTHORITIES])
def test_a_ca_that_some_client_does_not_accept_is_refused(create: Callable[[], str], code: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        INPUTS["ca_certificate"].rule(create())
    assert (refusal.value.key, refusal.value.code) == ("ca_certificate", code)


def test_a_ca_chain_is_accepted_without_the_comments_of_its_file() -> None:
    assert (
        INPUTS["ca_certificate"].rule(f"Subject: ours\n{ISSUING_CA.pem}\n# root\n{CA.pem}") == ISSUING_CA.pem + CA.pem
    )


KEYS: list[tuple[str, Callable[[], str], str]] = [
    ("no PEM", lambda: "hunter2", "unreadable-key"),
    ("certificate", lambda: CA.pem, "unreadable-key"),
    ("encrypted key", lambda: CA.encrypted_key_pem, "encrypted-key"),
    (
        "Ed25519",
        lambda: issue(CertificateSpec(hash_algorithm=None), key=ed25519.Ed25519PrivateKey.generate()).key_pem,
        "unsupported-key",
    ),
    ("RSA of 1024 bits", lambda: issue(CertificateSpec(), key=short_rsa()).key_pem, "unsupported-key"),
]


@pytest.mark.parametrize(("create", "code"), [row[1:] for row in KEYS], ids=[row[0] for row in KEYS])
def test_an_unsupported_ca_key_is_refused_and_not_shown(create: Callable[[], str], code: str) -> None:
    value = create()
    with pytest.raises(InvalidInput) as refusal:
        INPUTS["ca_key"].rule(value)
    assert (refusal.value.key, refusal.value.code) == ("ca_key", code)
    assert refusal.value.__cause__ is None, "The original error may contain a part of the key."
    assert not any(line in str(refusal.value) for line in value.splitlines() if len(line) > 6 and "-----" not in line)


def test_the_ca_key_must_match_the_ca_certificate() -> None:
    chains.require_key_of_authority(CA.pem, CA.key_pem)
    with pytest.raises(InvalidInput) as refusal:
        chains.require_key_of_authority(CA.pem, OTHER_CA.key_pem)
    assert (refusal.value.key, refusal.value.code) == ("ca_key", "key-of-another-certificate")


def test_a_ca_that_ends_before_its_server_certificate_causes_a_warning() -> None:
    short = issue(CertificateSpec("Root", days=100))
    assert not chains.short_authority_warning(short.pem, 98)
    assert chains.short_authority_warning(short.pem, 356)
    issuing_ca = issue(CertificateSpec(), short)
    assert chains.short_authority_warning(issuing_ca.pem + short.pem, 356)


@pytest.mark.parametrize(
    ("value", "code"),
    [("a CA", "unreadable-certificates"), (ca_pem(starts=-20, days=10), "not-valid-today")],
    ids=["no PEM", "expired"],
)
def test_the_ca_of_an_upstream_must_be_valid_today(value: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        INPUTS["upstream_ca"].rule(value)
    assert (refusal.value.key, refusal.value.code) == ("upstream_ca", code)
    assert INPUTS["upstream_ca"].rule(CA.pem) == CA.pem


SERVER_CERTIFICATES: list[tuple[str, CertificateSpec, str]] = [
    ("another name", server_spec("registry.example.com"), "name-missing"),
    ("no name", server_spec(), "name-missing"),
    ("expired", server_spec(HOST, starts=-20, days=10), "not-valid-today"),
    ("not yet valid", server_spec(HOST, starts=1), "not-valid-today"),
    ("lifetime too long", server_spec(HOST, days=400), "lasts-too-long"),
    ("for clients only", server_spec(HOST, extended_usage=(CLIENT,)), "not-for-servers"),
    ("for any usage", server_spec(HOST, extended_usage=(ANY,)), "not-for-servers"),
    ("usage without signatures", server_spec(HOST, usage=("key_agreement",)), "not-for-servers"),
    ("right to sign without CA", server_spec(HOST, usage=("digital_signature", "key_cert_sign")), "signs-without-ca"),
    ("no subject", server_spec(HOST, name=""), "subject-missing"),
    ("CA without the right to sign", server_spec(HOST, ca=True), "not-a-ca"),
    ("unknown critical extension", server_spec(HOST, unknown_critical=True), "unknown-critical-extension"),
    ("no authority key identifier", server_spec(HOST, authority_key=""), "authority-key-identifier"),
]


@pytest.mark.parametrize(
    ("spec", "code"), [row[1:] for row in SERVER_CERTIFICATES], ids=[row[0] for row in SERVER_CERTIFICATES]
)
def test_an_existing_certificate_that_some_client_refuses_is_refused(spec: CertificateSpec, code: str) -> None:
    certificate = issue(spec, CA)
    with pytest.raises(InvalidInput) as refusal:
        validate(certificate.pem + CA.pem, certificate.key_pem)
    assert (refusal.value.key, refusal.value.code) == ("tls_secret", code)


def test_an_authority_key_identifier_is_refused_if_its_serial_number_is_not_that_of_the_ca() -> None:
    """OpenSSL refuses it, because the number is not that of the CA. RFC 5280, 4.2.1.1 allows both parts."""
    for serial, is_accepted in ((CA.certificate.serial_number, True), (7, False)):
        certificate = issue(server_spec(HOST, authority_serial=serial), CA)
        with nullcontext() if is_accepted else pytest.raises(InvalidInput, match="does not name the key of its issuer"):
            validate(certificate.pem + CA.pem, certificate.key_pem)


def test_an_existing_certificate_is_refused_with_the_key_or_the_ca_of_another() -> None:
    certificate = issue(server_spec(HOST), CA)
    for chain, key, code in (
        (certificate.pem, OTHER_CA.key_pem, "key-of-another-certificate"),
        (certificate.pem + OTHER_CA.pem, certificate.key_pem, "not-a-chain"),
    ):
        with pytest.raises(InvalidInput) as refusal:
            validate(chain, key)
        assert (refusal.value.key, refusal.value.code) == ("tls_secret", code)


@pytest.mark.parametrize(
    ("spec", "host"),
    [
        (server_spec("*.example.com"), "registry.example.com"),
        (server_spec("REGISTRY.example.com"), "registry.example.com"),
        (server_spec("10.1.2.3"), "10.1.2.3"),
        (server_spec("2001:db8::1"), "2001:db8::1"),
        (server_spec("registry.example.com", name="", hosts_critical=True), "registry.example.com"),
        (server_spec("registry.example.com", usage=None, extended_usage=()), "registry.example.com"),
        (server_spec("registry.example.com", extended_usage=(SERVER, CLIENT)), "registry.example.com"),
    ],
    ids=[
        *("wildcard", "capital letters", "IPv4", "IPv6", "no subject, and critical names"),
        *("no usage", "for clients too"),
    ],
)
def test_an_existing_certificate_that_covers_the_host_is_accepted(spec: CertificateSpec, host: str) -> None:
    certificate = issue(spec, ISSUING_CA)
    chain = validate(certificate.pem + ISSUING_CA.pem + CA.pem, certificate.key_pem, host)
    assert [each.subject for each in chain.trusted] == [ISSUING_CA.certificate.subject, CA.certificate.subject]


@pytest.mark.parametrize(
    ("name", "host"),
    [("*.com", "registry.com"), ("*.example.com", "a.b.example.com"), ("*.example.com", "example.com")],
    ids=["top-level domain", "two labels", "no label"],
)
def test_a_wildcard_stands_for_one_label_below_a_domain(name: str, host: str) -> None:
    certificate = issue(server_spec(name), CA)
    with pytest.raises(InvalidInput) as refusal:
        validate(certificate.pem, certificate.key_pem, host)
    assert (refusal.value.key, refusal.value.code) == ("tls_secret", "name-missing")


def test_a_certificate_may_last_397_days_and_a_day_of_grace() -> None:
    """Apple accepts 398 days. A CA that issues for 397 days may start a day earlier."""
    certificate = issue(server_spec(HOST, days=398), CA)
    validate(certificate.pem + CA.pem, certificate.key_pem)
    longer = issue(server_spec(HOST, days=398 + 1 / 24), CA)
    with pytest.raises(InvalidInput) as refusal:
        validate(longer.pem, longer.key_pem)
    assert refusal.value.code == "lasts-too-long"


HASH = "$2y$10$" + "a" * 53

HTPASSWD: list[tuple[str, str, str]] = [
    ("empty", "", "no-users"),
    ("only a comment", "# nobody\n", "no-users"),
    ("SHA-1", "centos:{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=", "not-bcrypt"),
    ("Apache MD5", f"root:{HASH}\ncentos:$apr1$rzSSNXuz$1EF9WgoZSUL8RVoqRwGsn0", "not-bcrypt"),
    ("crypt", "centos:rl.3StKT.4T8M", "not-bcrypt"),
    ("plain text", "centos:hunter2", "not-bcrypt"),
    ("unknown bcrypt version", f"centos:{HASH.replace('2y', '2x')}", "not-bcrypt"),
    ("truncated hash", f"centos:{HASH[:-1]}", "not-bcrypt"),
    ("no user name", f":{HASH}", "not-bcrypt"),
    ("cost too low", f"centos:{HASH.replace('$10$', '$04$')}", "bcrypt-cost"),
    ("cost too high", f"centos:{HASH.replace('$10$', '$12$')}", "bcrypt-cost"),
]


@pytest.mark.parametrize(("lines", "code"), [row[1:] for row in HTPASSWD], ids=[row[0] for row in HTPASSWD])
def test_an_htpasswd_file_with_a_user_that_cannot_log_in_is_refused(lines: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        htpasswd(lines, "kubectl")
    assert (refusal.value.key, refusal.value.code) == ("users_secret", code)
    assert not any(word in str(refusal.value) for word in ("hunter2", "rzSSNXuz", "aaaa"))


def test_users_with_bcrypt_hashes_are_accepted() -> None:
    lines = f"# team\n\ncentos:{HASH}\njean:{HASH.replace('2y', '2b')}\n"
    assert htpasswd(lines, "kubectl") == lines
