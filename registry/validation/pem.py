"""Rules for certificates and keys in PEM. They agree with the verification of Go and OpenSSL."""

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

from .errors import InvalidInput
from .limits import LONGEST_CERTIFICATE_DAYS

Extension = TypeVar("Extension", bound=x509.ExtensionType)

HASHES = ("sha256", "sha384", "sha512")
"""Hashes of a signature that every client accepts."""

CURVES = ("secp256r1", "secp384r1")
"""Elliptic curves that every client accepts."""

LONGEST_PEM = 512 * 1024
"""Characters of a PEM file. A Secret holds twice as much, and all public CAs together are half of it."""

MAKE_CA = (
    "Make one with `openssl req -x509 -addext keyUsage=critical,keyCertSign,cRLSign`, whose other defaults are right"
)


def read_certificates(key: str, value: str) -> list[x509.Certificate]:
    """Return every certificate of a PEM file. Refuse a file without one."""
    remedy = f"Paste the whole file with its BEGIN and END lines: `pulumi config set {key} < ca.pem`"
    if not isinstance(value, str) or "PRIVATE KEY" in value or len(value) > LONGEST_PEM:
        raise InvalidInput(key, "not-certificates", "must be certificates in PEM", remedy)
    try:
        return x509.load_pem_x509_certificates(value.encode())
    except ValueError:
        raise InvalidInput(key, "unreadable-certificates", "is PEM that cannot be read", remedy) from None


def to_pem(certificates: Sequence[x509.Certificate]) -> str:
    """Return the PEM of the certificates, without the comments of their file."""
    return "".join(item.public_bytes(serialization.Encoding.PEM).decode() for item in certificates)


def validate_trusted(value: str) -> str:
    """Require CAs that are valid today."""
    for certificate in read_certificates("upstream_ca", value):
        _require_valid_today("upstream_ca", certificate)
    return value


def validate_authority(value: str) -> str:
    """Return the PEM of a CA that can sign server certificates, and of the CAs above it."""
    signer, *above = read_certificates("ca_certificate", value)
    _require_authority("ca_certificate", signer)
    _require_chain("ca_certificate", signer, above, authorities_below=1)
    return to_pem([signer, *above])


def require_key_of_authority(ca_certificate: str, ca_key: str) -> None:
    """Refuse a private key that is not the CA's."""
    signer, *_ = read_certificates("ca_certificate", ca_certificate)
    if private_key("ca_key", ca_key).public_key() != signer.public_key():
        problem = "is not the private key of `ca_certificate`"
        raise InvalidInput("ca_key", "key-of-another-certificate", problem, "Set the two that belong together")


def short_authority_warning(ca_certificate: str, days: int) -> str:
    """Return a warning if a CA ends before a server certificate that is issued today for `days`, else ""."""
    end = min(item.not_valid_after_utc for item in read_certificates("ca_certificate", ca_certificate))
    if end >= datetime.now(UTC) + timedelta(days=days):
        return ""
    return (
        f"`ca_certificate` ends on {end:%Y-%m-%d}, before the server certificate would. "
        "Renew it, or lower `certificate_days`."
    )


def validate_server_chain(chain: str, key: str, hosts: Sequence[str]) -> list[x509.Certificate]:
    """Return the certificates of a TLS Secret, the server's first. Clients that type `hosts` must accept it."""
    leaf, *above = read_certificates("tls_secret", chain)
    if private_key("tls_secret", key).public_key() != leaf.public_key():
        problem = "names a Secret whose key is not that of its certificate"
        remedy = "Make the Secret again from the two that belong together: `kubectl create secret tls`"
        raise InvalidInput("tls_secret", "key-of-another-certificate", problem, remedy)
    _require_valid_today("tls_secret", leaf)
    _require_server_certificate(leaf)
    missing = [host for host in hosts if not _covers(leaf, host)]
    if missing:
        problem = f"has a certificate without the subject alternative name {', '.join(missing)}, which clients type"
        remedy = "Have it issued for that name too, or set `hostname` to a name that it has"
        raise InvalidInput("tls_secret", "name-missing", problem, remedy)
    _require_chain("tls_secret", leaf, above, authorities_below=0)
    return [leaf, *above]


def private_key(key: str, value: str) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    """Return an unencrypted private key of a kind that every client accepts. No message holds any of it."""
    remedy = "For example the file that `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` writes"
    if not isinstance(value, str):
        problem = f"must be a private key in PEM, not a value of type {type(value).__name__}"
        raise InvalidInput(key, "not-a-key", problem, remedy)
    if "ENCRYPTED" in value:
        problem = "must be an unencrypted key"
        decrypt = "Decrypt it with `openssl pkey`. The state encrypts it again"
        raise InvalidInput(key, "encrypted-key", problem, decrypt)
    try:
        loaded = serialization.load_pem_private_key(value.encode(), password=None)
    except Exception:  # every kind of error, and each may hold a part of the key
        problem = "must be a private key in PEM, and cannot be read as one"
        raise InvalidInput(key, "unreadable-key", problem, remedy) from None
    _require_supported_key(key, loaded.public_key())
    return loaded  # type: ignore[return-value]  # `_require_supported_key` accepts these two only


def _require_supported_key(key: str, public: PublicKeyTypes) -> None:
    """Refuse kinds of keys that some client refuses."""
    is_supported = (isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in CURVES) or (
        isinstance(public, rsa.RSAPublicKey) and 2048 <= public.key_size <= 4096
    )
    if not is_supported:
        problem = "has a key that is not ECDSA P-256 or P-384, or RSA of 2048 to 4096 bits"
        raise InvalidInput(key, "unsupported-key", problem, "Use P-256 unless a client needs RSA")


def _require_authority(key: str, ca: x509.Certificate) -> None:
    """Require what Go, OpenSSL and Python's strict mode demand of a CA.

    The rules are those of RFC 5280, 4.1.2.6, 4.2.1.3 and 4.2.1.9.
    """
    _require_supported_key(key, ca.public_key())
    _require_valid_today(key, ca)
    _refuse_unknown_extensions(key, ca)
    basic, usage = _extension(ca, x509.BasicConstraints), _extension(ca, x509.KeyUsage)
    missing = {
        "a subject": bool(list(ca.subject) and list(ca.issuer)),
        "critical basicConstraints CA:TRUE": basic is not None and basic.critical and basic.value.ca,
        "keyUsage keyCertSign": usage is not None and usage.value.key_cert_sign,
        "a subject key identifier": _extension(ca, x509.SubjectKeyIdentifier) is not None,
    }
    if not all(missing.values()):
        lacks = " and ".join(part for part, is_there in missing.items() if not is_there)
        raise InvalidInput(key, "not-a-ca", f"has a certificate that is not a CA: it lacks {lacks}", MAKE_CA)
    if (uses := _extension(ca, x509.ExtendedKeyUsage)) and ExtendedKeyUsageOID.SERVER_AUTH not in uses.value:
        problem = "has a CA that may not sign for servers"
        raise InvalidInput(key, "not-a-ca-of-servers", problem, "Use a CA that allows serverAuth")
    if _extension(ca, x509.NameConstraints):
        # They would have to name every host of the server certificate, including those inside the cluster.
        raise InvalidInput(key, "name-constraints", "has a CA with name constraints", MAKE_CA)


def _require_valid_today(key: str, certificate: x509.Certificate) -> None:
    now, end = datetime.now(UTC), certificate.not_valid_after_utc
    if not certificate.not_valid_before_utc <= now < end:
        span = f"from {certificate.not_valid_before_utc:%Y-%m-%d} to {end:%Y-%m-%d}"
        raise InvalidInput(key, "not-valid-today", f"has a certificate that is valid {span}, not today", "Renew it")


def _require_server_certificate(leaf: x509.Certificate) -> None:
    """Require a certificate that every client accepts from a server."""
    lasts = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    if lasts > timedelta(days=LONGEST_CERTIFICATE_DAYS + 1):
        problem = f"has a certificate for {lasts.days} days, but browsers and macOS refuse more than"
        problem += f" {LONGEST_CERTIFICATE_DAYS}"
        raise InvalidInput("tls_secret", "lasts-too-long", problem, "Have it issued for less")
    _refuse_unknown_extensions("tls_secret", leaf)
    uses, usage = _extension(leaf, x509.ExtendedKeyUsage), _extension(leaf, x509.KeyUsage)
    is_for_other_uses = uses is not None and ExtendedKeyUsageOID.SERVER_AUTH not in uses.value
    if is_for_other_uses or (usage is not None and not usage.value.digital_signature):
        problem = "has a certificate that is not for servers"
        remedy = "Have it issued with serverAuth and digitalSignature"
        raise InvalidInput("tls_secret", "not-for-servers", problem, remedy)
    names, basic = _extension(leaf, x509.SubjectAlternativeName), _extension(leaf, x509.BasicConstraints)
    is_ca = basic is not None and basic.value.ca
    if is_ca:
        # Self-signed certificates often are CAs, and strict clients then demand the same of them as of any CA.
        _require_authority("tls_secret", leaf)
    has_critical_names = names is not None and names.critical and not is_ca
    if not list(leaf.issuer) or not (list(leaf.subject) or has_critical_names):
        problem = "has a certificate without a subject"
        remedy = "Have it issued with a common name (RFC 5280, 4.2.1.6)"
        raise InvalidInput("tls_secret", "subject-missing", problem, remedy)


def _require_chain(
    key: str, first: x509.Certificate, above: Sequence[x509.Certificate], authorities_below: int
) -> None:
    """Require that the next certificate signed each one, and that its path length allows the CAs below it."""
    for lower, upper in zip([first, *above], above, strict=False):
        try:
            lower.verify_directly_issued_by(upper)
        except Exception:  # a wrong name, a wrong signature or a wrong kind of key
            problem = "has certificates that do not form a chain"
            remedy = "Put the first certificate first, then the one that signed it, and so on"
            raise InvalidInput(key, "not-a-chain", problem, remedy) from None
    for depth, (lower, upper) in enumerate(zip([first, *above], above, strict=False), authorities_below):
        _require_authority(key, upper)
        _require_signature(key, lower, upper)
        longest = upper.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
        if longest is not None and longest < depth:
            problem = f"has a chain with {depth} CAs below a CA that allows {longest}"
            raise InvalidInput(key, "path-length", problem, "Use a CA with a longer pathlen")


def _require_signature(key: str, lower: x509.Certificate, upper: x509.Certificate) -> None:
    """Require a hash that no client refuses, and the signer's key identifier, as Python's strict mode demands it."""
    algorithm = lower.signature_hash_algorithm
    if algorithm is None or algorithm.name not in HASHES:
        problem = f"has a certificate that is signed with {algorithm.name if algorithm else 'an unknown hash'}"
        remedy = "Have it issued with SHA-256, SHA-384 or SHA-512"
        raise InvalidInput(key, "weak-signature", problem, remedy)
    authority_key = _extension(lower, x509.AuthorityKeyIdentifier)
    signer = upper.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    if authority_key is None or authority_key.value.key_identifier not in (None, signer):
        problem = "has a chain in which a certificate does not name the key of its issuer"
        remedy = "Have it issued with the authority key identifier of its CA (RFC 5280, 4.2.1.1)"
        raise InvalidInput(key, "authority-key-identifier", problem, remedy)


def _refuse_unknown_extensions(key: str, certificate: x509.Certificate) -> None:
    """Refuse critical extensions that clients do not know, because they refuse the certificate then."""
    for extension in certificate.extensions:
        if extension.critical and isinstance(extension.value, x509.UnrecognizedExtension):
            problem = f"has a certificate with the critical extension {extension.oid.dotted_string},"
            problem += " which clients do not know"
            raise InvalidInput(key, "unknown-critical-extension", problem, "Have it issued without that extension")


def _extension(certificate: x509.Certificate, kind: type[Extension]) -> x509.Extension[Extension] | None:
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def _covers(leaf: x509.Certificate, host: str) -> bool:
    """Return whether a client that types `host` accepts the certificate. A wildcard covers one label (RFC 6125)."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    if re.fullmatch(r"[0-9.]+|.*:.*", host):
        return ip_address(host) in names.get_values_for_type(x509.IPAddress)
    domain = host.lower().partition(".")[2]
    covering = (host.lower(), *([f"*.{domain}"] if "." in domain else []))  # OpenSSL refuses *.com
    return any(name.lower() in covering for name in names.get_values_for_type(x509.DNSName))
