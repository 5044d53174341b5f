"""Certificates, keys and users' files that are there already: what every client takes passes, the rest does not."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from registry.settings import RULES
from registry.validation import InvalidInput, pem
from registry.validation.credentials import htpasswd
from tests.issuing import ANY, CLIENT, SERVER, Issued, Key, Wanted, issue, leaf

HOST = "docker-registry"
CA = issue(Wanted())
OTHER = issue(Wanted("Another CA"))
BELOW = issue(Wanted("Issuing CA", pathlen=0), CA)


@cache
def short_rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)


def ca(signer: Issued | None = None, key: Key | None = None, **changes: Any) -> str:
    return issue(replace(Wanted(), **changes), signer, key).pem


AUTHORITIES: list[tuple[str, Callable[[], str], str]] = [
    # what it is, made when asked for, what the message says
    ("no PEM", lambda: "a CA", "certificates in PEM"),
    ("a key", lambda: CA.key_pem, "certificates in PEM"),
    ("a damaged one", lambda: CA.pem.replace("M", "N"), "certificates in PEM"),
    ("a huge one", lambda: CA.pem * 1000, "certificates in PEM"),
    ("a leaf", lambda: issue(leaf(HOST), CA).pem, "a CA: a subject"),
    ("no key usage", lambda: ca(usage=None), "keyUsage keyCertSign"),
    ("another key usage", lambda: ca(usage=("digital_signature",)), "keyUsage keyCertSign"),
    ("no subject key identifier", lambda: ca(subject_key=False), "a subject key identifier"),
    ("no subject", lambda: ca(name=""), "a CA: a subject"),
    ("basic constraints that are not critical", lambda: ca(ca_critical=False), "critical basicConstraints"),
    ("a CA of clients", lambda: ca(extended=(CLIENT,)), "a CA of servers"),
    ("name constraints", lambda: ca(permitted=("example.com",)), "a CA without name constraints"),
    ("an unknown critical extension", lambda: ca(unknown_critical=True), "that every client understands"),
    ("an expired one", lambda: ca(starts=-20, days=10), "valid today"),
    ("one of tomorrow", lambda: ca(starts=1), "valid today"),
    ("RSA of 1024 bits", lambda: ca(key=short_rsa()), "RSA of 2048 to 4096 bits"),
    ("P-224", lambda: ca(key=ec.generate_private_key(ec.SECP224R1())), "ECDSA P-256 or P-384"),
    ("Ed25519", lambda: ca(key=ed25519.Ed25519PrivateKey.generate(), hashed=None), "ECDSA P-256 or P-384"),
    ("a chain of strangers", lambda: CA.pem + OTHER.pem, "a chain, got one in another order"),
    ("an expired root", lambda: _below(issue(Wanted("Old", starts=-20, days=10))), "valid today"),
    ("a root that allows none below", lambda: _below(issue(Wanted("Root", pathlen=0))), "no longer than its CAs allow"),
    ("an issuer unnamed", lambda: _below(CA, authority_key=""), "name their issuer's key"),
    ("another issuer's key named", lambda: _below(CA, authority_key="wrong"), "name their issuer's key"),
    ("signed with SHA-224", lambda: _below(CA, hashed=hashes.SHA224()), "signed with SHA-256, SHA-384 or SHA-512"),
]


def _below(root: Issued, **changes: Any) -> str:
    return ca(root, **{"name": "Issuing CA", **changes}) + root.pem


@pytest.mark.parametrize(("made", "says"), [each[1:] for each in AUTHORITIES], ids=[each[0] for each in AUTHORITIES])
def test_a_ca_by_which_some_client_could_not_trust_the_registry_is_refused(made: Callable[[], str], says: str) -> None:
    with pytest.raises(InvalidInput, match="`ca_certificate` must be") as refusal:
        RULES["ca_certificate"](made())
    assert says in str(refusal.value)


def test_a_ca_and_those_above_it_are_taken_without_what_else_their_file_says() -> None:
    assert RULES["ca_certificate"](f"Subject: ours\n{BELOW.pem}\n# root\n{CA.pem}") == BELOW.pem + CA.pem


KEYS: list[tuple[str, Callable[[], str], str]] = [
    ("no PEM", lambda: "hunter2", "a private key in PEM"),
    ("a certificate", lambda: CA.pem, "a private key in PEM"),
    ("an encrypted key", lambda: CA.encrypted_key_pem, "an unencrypted key"),
    ("Ed25519", lambda: issue(Wanted(hashed=None), key=ed25519.Ed25519PrivateKey.generate()).key_pem, "ECDSA P-256"),
    ("RSA of 1024 bits", lambda: issue(Wanted(), key=short_rsa()).key_pem, "RSA of 2048 to 4096 bits"),
]


@pytest.mark.parametrize(("made", "says"), [each[1:] for each in KEYS], ids=[each[0] for each in KEYS])
def test_a_key_that_cannot_sign_for_every_client_is_refused_and_not_shown(made: Callable[[], str], says: str) -> None:
    value = made()
    with pytest.raises(InvalidInput, match="`ca_key` must be") as refusal:
        RULES["ca_key"](value)
    assert says in str(refusal.value)
    assert refusal.value.__cause__ is None, "the original error may hold a part of the key"
    assert not any(line in str(refusal.value) for line in value.splitlines() if len(line) > 6 and "-----" not in line)


def test_the_ca_key_is_that_of_the_ca() -> None:
    pem.authority(CA.pem, CA.key_pem)
    with pytest.raises(InvalidInput, match=r"`ca_key` must be the private key of `ca_certificate`"):
        pem.authority(CA.pem, OTHER.key_pem)


def test_a_ca_that_its_leaf_would_outlive_is_taken_with_a_warning() -> None:
    short = issue(Wanted("Root", days=100))
    assert not pem.outlived(short.pem, 98)
    assert "before its leaf would: renew it, or lower `certificate_days`" in pem.outlived(short.pem, 356)
    below = issue(Wanted(), short)
    assert pem.outlived(below.pem + short.pem, 356)


@pytest.mark.parametrize(
    ("value", "says"),
    [("a CA", "certificates in PEM"), (ca(starts=-20, days=10), "valid today")],
    ids=["no PEM", "old"],
)
def test_the_ca_of_an_upstream_is_one_that_can_be_trusted_today(value: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=f"`upstream_ca` must be {says}"):
        RULES["upstream_ca"](value)
    assert RULES["upstream_ca"](CA.pem) == CA.pem


SERVED: list[tuple[str, Wanted, str]] = [
    ("another name", leaf("registry.example.com"), "one without docker-registry among"),
    ("no name", leaf(), "one without docker-registry among"),
    ("expired", leaf(HOST, starts=-20, days=10), "valid today"),
    ("of tomorrow", leaf(HOST, starts=1), "valid today"),
    ("too long", leaf(HOST, days=400), "a certificate of at most 397 days"),
    ("of clients", leaf(HOST, extended=(CLIENT,)), "a server's certificate, got one for other uses"),
    ("of any use", leaf(HOST, extended=(ANY,)), "a server's certificate, got one for other uses"),
    ("that may not sign", leaf(HOST, usage=("key_agreement",)), "a server's certificate, got one for other uses"),
    ("without a subject", leaf(HOST, name=""), "a certificate with a subject"),
    ("of a CA that may not sign", leaf(HOST, ca=True), "a CA: a subject, critical basicConstraints"),
    ("with an unknown extension", leaf(HOST, unknown_critical=True), "that every client understands"),
    ("without its issuer's key", leaf(HOST, authority_key=""), "name their issuer's key"),
]


@pytest.mark.parametrize(("wanted", "says"), [each[1:] for each in SERVED], ids=[each[0] for each in SERVED])
def test_an_existing_certificate_that_some_client_refuses_is_refused(wanted: Wanted, says: str) -> None:
    made = issue(wanted, CA)
    with pytest.raises(InvalidInput, match="`tls_secret` must be") as refusal:
        pem.served(made.pem + CA.pem, made.key_pem, [HOST])
    assert says in str(refusal.value)


def test_an_existing_certificate_is_refused_without_its_own_key_or_chain() -> None:
    made = issue(leaf(HOST), CA)
    with pytest.raises(InvalidInput, match=r"`tls_secret` must be a Secret whose key is its certificate's"):
        pem.served(made.pem, OTHER.key_pem, [HOST])
    with pytest.raises(InvalidInput, match=r"`tls_secret` must be a chain"):
        pem.served(made.pem + OTHER.pem, made.key_pem, [HOST])


@pytest.mark.parametrize(
    ("wanted", "host"),
    [
        (leaf("*.example.com"), "registry.example.com"),
        (leaf("REGISTRY.example.com"), "registry.example.com"),
        (leaf("10.1.2.3"), "10.1.2.3"),
        (leaf("2001:db8::1"), "2001:db8::1"),
        (leaf("registry.example.com", name="", hosts_critical=True), "registry.example.com"),
        (leaf("registry.example.com", usage=None, extended=()), "registry.example.com"),
        (leaf("registry.example.com", extended=(SERVER, CLIENT)), "registry.example.com"),
    ],
)
def test_an_existing_certificate_that_covers_the_host_is_taken(wanted: Wanted, host: str) -> None:
    made = issue(wanted, BELOW)
    served = pem.served(made.pem + BELOW.pem + CA.pem, made.key_pem, [host])
    assert [each.subject for each in served][1:] == [BELOW.certificate.subject, CA.certificate.subject]


@pytest.mark.parametrize(
    ("name", "host"),
    [("*.com", "registry.com"), ("*.example.com", "a.b.example.com"), ("*.example.com", "example.com")],
)
def test_a_wildcard_stands_for_one_label_below_a_domain(name: str, host: str) -> None:
    made = issue(leaf(name), CA)
    with pytest.raises(InvalidInput, match="`tls_secret` must be a certificate for the name that clients type"):
        pem.served(made.pem, made.key_pem, [host])


def test_a_certificate_may_last_397_days_and_a_day_of_grace() -> None:
    """Apple counts to 398, and who issues for 397 may begin a day before."""
    made = issue(leaf(HOST, days=398), CA)
    pem.served(made.pem, made.key_pem, [HOST])
    longer = issue(leaf(HOST, days=398 + 1 / 24), CA)
    with pytest.raises(InvalidInput, match="at most 397 days"):
        pem.served(longer.pem, longer.key_pem, [HOST])


HASH = "$2y$10$" + "a" * 53

HTPASSWD: list[tuple[str, str, str]] = [
    ("nothing", "", "a Secret with a user or more"),
    ("a comment alone", "# nobody\n", "a Secret with a user or more"),
    ("SHA-1", "centos:{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=", "another kind in line 1"),
    ("Apache's MD5", f"root:{HASH}\ncentos:$apr1$rzSSNXuz$1EF9WgoZSUL8RVoqRwGsn0", "another kind in line 2"),
    ("crypt", "centos:rl.3StKT.4T8M", "another kind in line 1"),
    ("plain text", "centos:hunter2", "another kind in line 1"),
    ("a broken bcrypt", f"centos:{HASH.replace('2y', '2x')}", "another kind in line 1"),
    ("a hash cut off", f"centos:{HASH[:-1]}", "another kind in line 1"),
    ("nobody's hash", f":{HASH}", "another kind in line 1"),
    ("a cheap hash", f"centos:{HASH.replace('$10$', '$04$')}", "hashes of cost 5 to 10, got cost 4 in line 1"),
    ("a dear hash", f"centos:{HASH.replace('$10$', '$12$')}", "hashes of cost 5 to 10, got cost 12 in line 1"),
]


@pytest.mark.parametrize(("lines", "says"), [each[1:] for each in HTPASSWD], ids=[each[0] for each in HTPASSWD])
def test_users_that_the_registry_would_not_let_in_are_refused(lines: str, says: str) -> None:
    with pytest.raises(InvalidInput, match="`users_secret` must be") as refusal:
        htpasswd(lines)
    assert says in str(refusal.value)
    assert not any(word in str(refusal.value) for word in ("hunter2", "rzSSNXuz", "aaaa"))


def test_users_with_bcrypt_hashes_are_taken() -> None:
    lines = f"# team\n\ncentos:{HASH}\njean:{HASH.replace('2y', '2b')}\n"
    assert htpasswd(lines) == lines
