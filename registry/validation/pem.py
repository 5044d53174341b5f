"""Certificates and keys that come from elsewhere, as Go's and OpenSSL's verification will see them."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

from . import Described, InvalidInput
from .certificates import LONGEST_DAYS

Value = TypeVar("Value", bound=x509.ExtensionType)

HASHES = ("sha256", "sha384", "sha512")

LONGEST = 512 * 1024
"""Characters of a PEM file: a Secret holds twice as much, and all public CAs are half of it."""

CURVES = ("secp256r1", "secp384r1")

MAKE_CA = (
    "make one with `openssl req -x509 -addext keyUsage=critical,keyCertSign,cRLSign`, whose other defaults are right"
)


def bundle(key: str, value: str) -> list[x509.Certificate]:
    """Every certificate of a PEM file, of which there is one at least."""
    remedy = f"paste the whole file with its BEGIN and END lines: `pulumi config set {key} < ca.pem`"
    if not isinstance(value, str) or "PRIVATE KEY" in value or len(value) > LONGEST:
        raise InvalidInput(key, "certificates in PEM", Described("something else"), remedy)
    try:
        found = x509.load_pem_x509_certificates(value.encode())
    except ValueError:
        raise InvalidInput(key, "certificates in PEM", Described("what cannot be read as that"), remedy) from None
    return found


def trusted(value: str) -> str:
    """CAs that signed another server's certificate."""
    for certificate in bundle("upstream_ca", value):
        _current("upstream_ca", certificate)
    return value


def certificate_authority(value: str) -> str:
    """A CA that can sign, then those above it; their PEM without what else the file says."""
    signer, *above = bundle("ca_certificate", value)
    _signs("ca_certificate", signer)
    _chained("ca_certificate", signer, above, authorities_below=1)
    return as_pem([signer, *above])


def authority(ca_certificate: str, ca_key: str) -> None:
    """A CA and the key that signs in its name."""
    signer, *_ = bundle("ca_certificate", ca_certificate)
    if private_key("ca_key", ca_key).public_key() != signer.public_key():
        got = Described("that of another certificate")
        raise InvalidInput("ca_key", "the private key of `ca_certificate`", got, "give the two that belong together")


def outlived(ca_certificate: str, days: int) -> str:
    """What to say of a CA that ends before a leaf of `days` made today: its clients would lose trust first."""
    end = min(each.not_valid_after_utc for each in bundle("ca_certificate", ca_certificate))
    if end >= datetime.now(UTC) + timedelta(days=days):
        return ""
    return f"`ca_certificate` ends on {end:%Y-%m-%d}, before its leaf would: renew it, or lower `certificate_days`"


def served(chain: str, key: str, hosts: Sequence[str]) -> list[x509.Certificate]:
    """The chain of an existing TLS Secret, leaf first, if it is one by which clients can reach `hosts`."""
    leaf, *above = bundle("tls_secret", chain)
    if private_key("tls_secret", key).public_key() != leaf.public_key():
        remedy = "make the Secret anew with the two that belong together: `kubectl create secret tls`"
        raise InvalidInput("tls_secret", "a Secret whose key is its certificate's", Described("another key"), remedy)
    _current("tls_secret", leaf)
    _serves(leaf)
    missing = [host for host in hosts if not _covers(leaf, host)]
    if missing:
        got = Described(f"one without {', '.join(missing)} among its subject alternative names")
        remedy = "have it issued for that name too, or set `hostname` to one that it has"
        raise InvalidInput("tls_secret", "a certificate for the name that clients type", got, remedy)
    _chained("tls_secret", leaf, above, authorities_below=0)
    return [leaf, *above]


def private_key(key: str, value: str) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    """An unencrypted private key in PEM, of a kind that every client takes. No message holds any of it."""
    remedy = "for example the file of `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`"
    if not isinstance(value, str):
        raise InvalidInput(key, "a private key in PEM", Described(f"a value of type {type(value).__name__}"), remedy)
    if "ENCRYPTED" in value:
        decrypt = "decrypt it with `openssl pkey`; the stack's file encrypts it again"
        raise InvalidInput(key, "an unencrypted key", Described("an encrypted one"), decrypt)
    try:
        found = serialization.load_pem_private_key(value.encode(), password=None)
    except Exception:  # its kinds differ by what is wrong, and each may hold a part of the key
        raise InvalidInput(key, "a private key in PEM", Described("what cannot be read as that"), remedy) from None
    _accepted(key, found.public_key())
    return found  # type: ignore[return-value]  # `_accepted` takes these two only


def _accepted(key: str, public: PublicKeyTypes) -> None:
    good = (isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in CURVES) or (
        isinstance(public, rsa.RSAPublicKey) and 2048 <= public.key_size <= 4096
    )
    if not good:
        kinds = "ECDSA P-256 or P-384, or RSA of 2048 to 4096 bits"
        raise InvalidInput(key, kinds, Described("another kind of key"), "P-256 is right unless you know why")


def _signs(key: str, ca: x509.Certificate) -> None:
    """A CA as Go, OpenSSL and Python's strict mode want it (RFC 5280, 4.1.2.6, 4.2.1.3 and 4.2.1.9)."""
    _accepted(key, ca.public_key())
    _current(key, ca)
    _understood(key, ca)
    basic, usage = _extension(ca, x509.BasicConstraints), _extension(ca, x509.KeyUsage)
    is_ca = basic is not None and basic.critical and basic.value.ca
    may_sign = usage is not None and usage.value.key_cert_sign
    named = list(ca.subject) and list(ca.issuer)
    if not (is_ca and may_sign and named and _extension(ca, x509.SubjectKeyIdentifier)):
        must = "a CA: a subject, critical basicConstraints CA:TRUE, keyUsage keyCertSign and a subject key identifier"
        raise InvalidInput(key, must, Described("a certificate without"), MAKE_CA)
    if (uses := _extension(ca, x509.ExtendedKeyUsage)) and ExtendedKeyUsageOID.SERVER_AUTH not in uses.value:
        raise InvalidInput(key, "a CA of servers", Described("one for other uses"), "take one that allows serverAuth")
    if _extension(ca, x509.NameConstraints):
        # They would have to name every host of the certificate, those inside the cluster among them.
        raise InvalidInput(key, "a CA without name constraints", Described("one with some"), MAKE_CA)


def _current(key: str, certificate: x509.Certificate) -> None:
    now, end = datetime.now(UTC), certificate.not_valid_after_utc
    if not certificate.not_valid_before_utc <= now < end:
        span = f"{certificate.not_valid_before_utc:%Y-%m-%d} to {end:%Y-%m-%d}"
        raise InvalidInput(key, "valid today", Described(f"one for {span}"), "renew it")


def _serves(leaf: x509.Certificate) -> None:
    """A server's certificate that no client finds fault with."""
    lasts = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    if lasts > timedelta(days=LONGEST_DAYS + 1):
        got = Described(f"{lasts.days} days")
        remedy = "have it issued for less: browsers and macOS refuse longer ones"
        raise InvalidInput("tls_secret", f"a certificate of at most {LONGEST_DAYS} days", got, remedy)
    _understood("tls_secret", leaf)
    uses, usage = _extension(leaf, x509.ExtendedKeyUsage), _extension(leaf, x509.KeyUsage)
    for_others = uses is not None and ExtendedKeyUsageOID.SERVER_AUTH not in uses.value
    if for_others or (usage is not None and not usage.value.digital_signature):
        remedy = "have it issued with serverAuth and digitalSignature"
        raise InvalidInput("tls_secret", "a server's certificate", Described("one for other uses"), remedy)
    names, basic = _extension(leaf, x509.SubjectAlternativeName), _extension(leaf, x509.BasicConstraints)
    is_ca = basic is not None and basic.value.ca
    if is_ca:  # as a self-signed one often is, and then strict clients hold it to what they ask of a CA
        _signs("tls_secret", leaf)
    is_named_elsewhere = names is not None and names.critical and not is_ca
    if not list(leaf.issuer) or not (list(leaf.subject) or is_named_elsewhere):
        remedy = "have it issued with a common name (RFC 5280, 4.2.1.6)"
        raise InvalidInput("tls_secret", "a certificate with a subject", Described("one without"), remedy)


def _chained(key: str, first: x509.Certificate, above: Sequence[x509.Certificate], authorities_below: int) -> None:
    """Each certificate is signed by the next one, which is a CA that may have so many others below it."""
    for lower, upper in zip([first, *above], above, strict=False):
        try:
            lower.verify_directly_issued_by(upper)
        except Exception:  # a wrong name, a wrong signature, a kind of key that cannot have made it: all the same here
            got = Described("one in another order or of another issuer")
            remedy = "the first certificate, then the one that signed it, and so on"
            raise InvalidInput(key, "a chain", got, remedy) from None
    for depth, (lower, upper) in enumerate(zip([first, *above], above, strict=False), authorities_below):
        _signs(key, upper)
        _identified(key, lower, upper)
        longest = upper.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
        if longest is not None and longest < depth:
            got = Described(f"one whose CA allows {longest} below it")
            raise InvalidInput(key, "a chain no longer than its CAs allow", got, "take a CA with a longer pathlen")


def _identified(key: str, lower: x509.Certificate, upper: x509.Certificate) -> None:
    """Signed with a hash that no client refuses, and naming the key that signed it, as Python's strict mode wants."""
    hashed = lower.signature_hash_algorithm
    if hashed is None or hashed.name not in HASHES:
        got = Described(hashed.name if hashed else "another hash")
        raise InvalidInput(key, "signed with SHA-256, SHA-384 or SHA-512", got, "renew it")
    named = _extension(lower, x509.AuthorityKeyIdentifier)
    signer = upper.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    if named is None or named.value.key_identifier not in (None, signer):
        remedy = "have it issued with the authority key identifier of its CA (RFC 5280, 4.2.1.1)"
        raise InvalidInput(key, "a chain whose certificates name their issuer's key", Described("another"), remedy)


def _understood(key: str, certificate: x509.Certificate) -> None:
    """Nothing critical that clients do not know: they refuse what they cannot honour."""
    for extension in certificate.extensions:
        if extension.critical and isinstance(extension.value, x509.UnrecognizedExtension):
            got = Described(f"one with {extension.oid.dotted_string}")
            raise InvalidInput(key, "a certificate that every client understands", got, "have it issued without that")


def _extension(certificate: x509.Certificate, kind: type[Value]) -> x509.Extension[Value] | None:
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def _covers(leaf: x509.Certificate, host: str) -> bool:
    """Whether a client that types `host` accepts the certificate (RFC 6125: a wildcard stands for one label)."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    if re.fullmatch(r"[0-9.]+|.*:.*", host):
        return ip_address(host) in names.get_values_for_type(x509.IPAddress)
    domain = host.lower().partition(".")[2]
    covering = (host.lower(), *([f"*.{domain}"] if "." in domain else []))  # OpenSSL takes no *.com
    return any(name.lower() in covering for name in names.get_values_for_type(x509.DNSName))


def as_pem(certificates: Sequence[x509.Certificate]) -> str:
    """The certificates alone, without what else their file said."""
    return "".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in certificates)
