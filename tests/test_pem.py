"""Certificates, keys and users' files that are there already: what every client takes passes, the rest does not."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from registry.inputs.table import INPUTS
from registry.validation import InvalidInput, pem
from registry.validation.users import htpasswd
from tests.issuing import ANY, CLIENT, SERVER, CertificateSpec, IssuedCertificate, Key, issue, server_spec

HOST = "docker-registry"
CA = issue(CertificateSpec())
OTHER = issue(CertificateSpec("Another CA"))
BELOW = issue(CertificateSpec("Issuing CA", pathlen=0), CA)


@cache
def short_rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)


def ca(signer: IssuedCertificate | None = None, key: Key | None = None, **changes: Any) -> str:
    return issue(replace(CertificateSpec(), **changes), signer, key).pem


AUTHORITIES: list[tuple[str, Callable[[], str], str]] = [
    # what it is, made when asked for, code
    ("no PEM", lambda: "a CA", "unreadable-certificates"),
    ("a key", lambda: CA.key_pem, "not-certificates"),
    ("a damaged one", lambda: CA.pem.replace("M", "N"), "unreadable-certificates"),
    ("a huge one", lambda: CA.pem * 1000, "not-certificates"),
    ("a leaf", lambda: issue(server_spec(HOST), CA).pem, "not-a-ca"),
    ("no key usage", lambda: ca(usage=None), "not-a-ca"),
    ("another key usage", lambda: ca(usage=("digital_signature",)), "not-a-ca"),
    ("no subject key identifier", lambda: ca(subject_key=False), "not-a-ca"),
    ("no subject", lambda: ca(name=""), "not-a-ca"),
    ("basic constraints that are not critical", lambda: ca(ca_critical=False), "not-a-ca"),
    ("a CA of clients", lambda: ca(extended_usage=(CLIENT,)), "not-a-ca-of-servers"),
    ("name constraints", lambda: ca(permitted_names=("example.com",)), "name-constraints"),
    ("an unknown critical extension", lambda: ca(unknown_critical=True), "unknown-critical-extension"),
    ("an expired one", lambda: ca(starts=-20, days=10), "not-valid-today"),
    ("one of tomorrow", lambda: ca(starts=1), "not-valid-today"),
    ("RSA of 1024 bits", lambda: ca(key=short_rsa()), "unsupported-key"),
    ("P-224", lambda: ca(key=ec.generate_private_key(ec.SECP224R1())), "unsupported-key"),
    ("Ed25519", lambda: ca(key=ed25519.Ed25519PrivateKey.generate(), hash_algorithm=None), "unsupported-key"),
    ("a chain of strangers", lambda: CA.pem + OTHER.pem, "not-a-chain"),
    ("an expired root", lambda: _below(issue(CertificateSpec("Old", starts=-20, days=10))), "not-valid-today"),
    ("a root that allows none below", lambda: _below(issue(CertificateSpec("Root", pathlen=0))), "path-length"),
    ("an issuer unnamed", lambda: _below(CA, authority_key=""), "authority-key-identifier"),
    ("another issuer's key named", lambda: _below(CA, authority_key="wrong"), "authority-key-identifier"),
    ("signed with SHA-224", lambda: _below(CA, hash_algorithm=hashes.SHA224()), "weak-signature"),
]


def _below(root: IssuedCertificate, **changes: Any) -> str:
    return ca(root, **{"name": "Issuing CA", **changes}) + root.pem


@pytest.mark.parametrize(("made", "code"), [each[1:] for each in AUTHORITIES], ids=[each[0] for each in AUTHORITIES])
def test_a_ca_by_which_some_client_could_not_trust_the_registry_is_refused(made: Callable[[], str], code: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        INPUTS["ca_certificate"].rule(made())
    assert (refusal.value.key, refusal.value.code) == ("ca_certificate", code)


def test_a_ca_and_those_above_it_are_taken_without_what_else_their_file_says() -> None:
    assert INPUTS["ca_certificate"].rule(f"Subject: ours\n{BELOW.pem}\n# root\n{CA.pem}") == BELOW.pem + CA.pem


KEYS: list[tuple[str, Callable[[], str], str]] = [
    ("no PEM", lambda: "hunter2", "unreadable-key"),
    ("a certificate", lambda: CA.pem, "unreadable-key"),
    ("an encrypted key", lambda: CA.encrypted_key_pem, "encrypted-key"),
    (
        "Ed25519",
        lambda: issue(CertificateSpec(hash_algorithm=None), key=ed25519.Ed25519PrivateKey.generate()).key_pem,
        "unsupported-key",
    ),
    ("RSA of 1024 bits", lambda: issue(CertificateSpec(), key=short_rsa()).key_pem, "unsupported-key"),
]


@pytest.mark.parametrize(("made", "code"), [each[1:] for each in KEYS], ids=[each[0] for each in KEYS])
def test_a_key_that_cannot_sign_for_every_client_is_refused_and_not_shown(made: Callable[[], str], code: str) -> None:
    value = made()
    with pytest.raises(InvalidInput) as refusal:
        INPUTS["ca_key"].rule(value)
    assert (refusal.value.key, refusal.value.code) == ("ca_key", code)
    assert refusal.value.__cause__ is None, "the original error may hold a part of the key"
    assert not any(line in str(refusal.value) for line in value.splitlines() if len(line) > 6 and "-----" not in line)


def test_the_ca_key_is_that_of_the_ca() -> None:
    pem.require_key_of_authority(CA.pem, CA.key_pem)
    with pytest.raises(InvalidInput) as refusal:
        pem.require_key_of_authority(CA.pem, OTHER.key_pem)
    assert (refusal.value.key, refusal.value.code) == ("ca_key", "key-of-another-certificate")


def test_a_ca_that_its_leaf_would_outlive_is_taken_with_a_warning() -> None:
    short = issue(CertificateSpec("Root", days=100))
    assert not pem.short_authority_warning(short.pem, 98)
    assert pem.short_authority_warning(short.pem, 356)
    below = issue(CertificateSpec(), short)
    assert pem.short_authority_warning(below.pem + short.pem, 356)


@pytest.mark.parametrize(
    ("value", "code"),
    [("a CA", "unreadable-certificates"), (ca(starts=-20, days=10), "not-valid-today")],
    ids=["no PEM", "old"],
)
def test_the_ca_of_an_upstream_is_one_that_can_be_trusted_today(value: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        INPUTS["upstream_ca"].rule(value)
    assert (refusal.value.key, refusal.value.code) == ("upstream_ca", code)
    assert INPUTS["upstream_ca"].rule(CA.pem) == CA.pem


SERVED: list[tuple[str, CertificateSpec, str]] = [
    ("another name", server_spec("registry.example.com"), "name-missing"),
    ("no name", server_spec(), "name-missing"),
    ("expired", server_spec(HOST, starts=-20, days=10), "not-valid-today"),
    ("of tomorrow", server_spec(HOST, starts=1), "not-valid-today"),
    ("too long", server_spec(HOST, days=400), "lasts-too-long"),
    ("of clients", server_spec(HOST, extended_usage=(CLIENT,)), "not-for-servers"),
    ("of any use", server_spec(HOST, extended_usage=(ANY,)), "not-for-servers"),
    ("that may not sign", server_spec(HOST, usage=("key_agreement",)), "not-for-servers"),
    ("without a subject", server_spec(HOST, name=""), "subject-missing"),
    ("of a CA that may not sign", server_spec(HOST, ca=True), "not-a-ca"),
    ("with an unknown extension", server_spec(HOST, unknown_critical=True), "unknown-critical-extension"),
    ("without its issuer's key", server_spec(HOST, authority_key=""), "authority-key-identifier"),
]


@pytest.mark.parametrize(("wanted", "code"), [each[1:] for each in SERVED], ids=[each[0] for each in SERVED])
def test_an_existing_certificate_that_some_client_refuses_is_refused(wanted: CertificateSpec, code: str) -> None:
    made = issue(wanted, CA)
    with pytest.raises(InvalidInput) as refusal:
        pem.validate_server_chain(made.pem + CA.pem, made.key_pem, [HOST])
    assert (refusal.value.key, refusal.value.code) == ("tls_secret", code)


def test_an_existing_certificate_is_refused_without_its_own_key_or_chain() -> None:
    made = issue(server_spec(HOST), CA)
    for chain, key, code in (
        (made.pem, OTHER.key_pem, "key-of-another-certificate"),
        (made.pem + OTHER.pem, made.key_pem, "not-a-chain"),
    ):
        with pytest.raises(InvalidInput) as refusal:
            pem.validate_server_chain(chain, key, [HOST])
        assert (refusal.value.key, refusal.value.code) == ("tls_secret", code)


@pytest.mark.parametrize(
    ("wanted", "host"),
    [
        (server_spec("*.example.com"), "registry.example.com"),
        (server_spec("REGISTRY.example.com"), "registry.example.com"),
        (server_spec("10.1.2.3"), "10.1.2.3"),
        (server_spec("2001:db8::1"), "2001:db8::1"),
        (server_spec("registry.example.com", name="", hosts_critical=True), "registry.example.com"),
        (server_spec("registry.example.com", usage=None, extended_usage=()), "registry.example.com"),
        (server_spec("registry.example.com", extended_usage=(SERVER, CLIENT)), "registry.example.com"),
    ],
)
def test_an_existing_certificate_that_covers_the_host_is_taken(wanted: CertificateSpec, host: str) -> None:
    made = issue(wanted, BELOW)
    served = pem.validate_server_chain(made.pem + BELOW.pem + CA.pem, made.key_pem, [host])
    assert [each.subject for each in served][1:] == [BELOW.certificate.subject, CA.certificate.subject]


@pytest.mark.parametrize(
    ("name", "host"),
    [("*.com", "registry.com"), ("*.example.com", "a.b.example.com"), ("*.example.com", "example.com")],
)
def test_a_wildcard_stands_for_one_label_below_a_domain(name: str, host: str) -> None:
    made = issue(server_spec(name), CA)
    with pytest.raises(InvalidInput) as refusal:
        pem.validate_server_chain(made.pem, made.key_pem, [host])
    assert (refusal.value.key, refusal.value.code) == ("tls_secret", "name-missing")


def test_a_certificate_may_last_397_days_and_a_day_of_grace() -> None:
    """Apple counts to 398, and who issues for 397 may begin a day before."""
    made = issue(server_spec(HOST, days=398), CA)
    pem.validate_server_chain(made.pem, made.key_pem, [HOST])
    longer = issue(server_spec(HOST, days=398 + 1 / 24), CA)
    with pytest.raises(InvalidInput) as refusal:
        pem.validate_server_chain(longer.pem, longer.key_pem, [HOST])
    assert refusal.value.code == "lasts-too-long"


HASH = "$2y$10$" + "a" * 53

HTPASSWD: list[tuple[str, str, str]] = [
    ("nothing", "", "no-users"),
    ("a comment alone", "# nobody\n", "no-users"),
    ("SHA-1", "centos:{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=", "not-bcrypt"),
    ("Apache's MD5", f"root:{HASH}\ncentos:$apr1$rzSSNXuz$1EF9WgoZSUL8RVoqRwGsn0", "not-bcrypt"),
    ("crypt", "centos:rl.3StKT.4T8M", "not-bcrypt"),
    ("plain text", "centos:hunter2", "not-bcrypt"),
    ("a broken bcrypt", f"centos:{HASH.replace('2y', '2x')}", "not-bcrypt"),
    ("a hash cut off", f"centos:{HASH[:-1]}", "not-bcrypt"),
    ("nobody's hash", f":{HASH}", "not-bcrypt"),
    ("a cheap hash", f"centos:{HASH.replace('$10$', '$04$')}", "bcrypt-cost"),
    ("a dear hash", f"centos:{HASH.replace('$10$', '$12$')}", "bcrypt-cost"),
]


@pytest.mark.parametrize(("lines", "code"), [each[1:] for each in HTPASSWD], ids=[each[0] for each in HTPASSWD])
def test_users_that_the_registry_would_not_let_in_are_refused(lines: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        htpasswd(lines)
    assert (refusal.value.key, refusal.value.code) == ("users_secret", code)
    assert not any(word in str(refusal.value) for word in ("hunter2", "rzSSNXuz", "aaaa"))


def test_users_with_bcrypt_hashes_are_taken() -> None:
    lines = f"# team\n\ncentos:{HASH}\njean:{HASH.replace('2y', '2b')}\n"
    assert htpasswd(lines) == lines
