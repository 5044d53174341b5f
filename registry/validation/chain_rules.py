"""Rules for one certificate of a chain: a CA, or the certificate of a server.

They agree with what Go, OpenSSL and Python's strict mode demand of each certificate.
"""

import re
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import NamedTuple, TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from .errors import InvalidInput
from .limits import LONGEST_CERTIFICATE_DAYS
from .pem import require_supported_key

Extension = TypeVar("Extension", bound=x509.ExtensionType)

HASHES = ("sha256", "sha384", "sha512")
"""Hashes of a signature that every client accepts."""


class ChainSource(NamedTuple):
    """The files of a chain, and what to do if a certificate is missing.

    Attributes:
        key: The input.
        add_root: Remedy if a root is missing.
        add_intermediate: Remedy if another CA is missing.
        make_ca: Remedy if a certificate is no proper CA.
    """

    key: str
    add_root: str
    add_intermediate: str
    make_ca: str


def require_authority(source: ChainSource, ca: x509.Certificate) -> None:
    """Require what Go, OpenSSL and Python's strict mode demand of a CA.

    The rules are those of RFC 5280, 4.1.2.6, 4.2.1.3 and 4.2.1.9.
    """
    key = source.key
    require_supported_key(key, ca.public_key())
    require_valid_today(key, ca)
    _require_known_extensions(key, ca)
    basic, usage = find_extension(ca, x509.BasicConstraints), find_extension(ca, x509.KeyUsage)
    subject_key = find_extension(ca, x509.SubjectKeyIdentifier)
    parts = {
        "a subject": bool(list(ca.subject) and list(ca.issuer)),
        "critical basicConstraints CA:TRUE": basic is not None and basic.critical and basic.value.ca,
        "keyUsage keyCertSign": usage is not None and usage.value.key_cert_sign,
        "a subject key identifier": subject_key is not None and bool(subject_key.value.digest),
    }
    if not all(parts.values()):
        lacks = " and ".join(part for part, is_there in parts.items() if not is_there)
        raise InvalidInput(key, "not-a-ca", f"has a certificate that is not a CA: it lacks {lacks}", source.make_ca)
    if (uses := find_extension(ca, x509.ExtendedKeyUsage)) and ExtendedKeyUsageOID.SERVER_AUTH not in uses.value:
        problem = "has a CA that may not sign for servers"
        raise InvalidInput(key, "not-a-ca-of-servers", problem, "Use a CA that allows serverAuth")
    if find_extension(ca, x509.NameConstraints):
        # They would have to name every host of the server certificate, including those inside the cluster.
        raise InvalidInput(key, "name-constraints", "has a CA with name constraints", source.make_ca)


def require_valid_today(key: str, certificate: x509.Certificate) -> None:
    """Refuse a certificate that is not valid yet, or not any more."""
    now, end = datetime.now(UTC), certificate.not_valid_after_utc
    if not certificate.not_valid_before_utc <= now < end:
        span = f"from {certificate.not_valid_before_utc:%Y-%m-%d} to {end:%Y-%m-%d}"
        raise InvalidInput(key, "not-valid-today", f"has a certificate that is valid {span}, not today", "Renew it")


def require_server_certificate(source: ChainSource, leaf: x509.Certificate) -> None:
    """Require a certificate that every client accepts from a server."""
    key, lasts = source.key, leaf.not_valid_after_utc - leaf.not_valid_before_utc
    if lasts > timedelta(days=LONGEST_CERTIFICATE_DAYS + 1):
        problem = f"has a certificate for {lasts.days} days, but browsers and macOS refuse more than"
        problem += f" {LONGEST_CERTIFICATE_DAYS}"
        raise InvalidInput(key, "lasts-too-long", problem, "Have it issued for less")
    _require_known_extensions(key, leaf)
    uses, usage = find_extension(leaf, x509.ExtendedKeyUsage), find_extension(leaf, x509.KeyUsage)
    names, basic = find_extension(leaf, x509.SubjectAlternativeName), find_extension(leaf, x509.BasicConstraints)
    is_ca = basic is not None and basic.value.ca
    if is_ca:
        # Self-signed certificates often are CAs, and strict clients then demand the same of them as of any CA.
        require_authority(source, leaf)
    is_for_other_uses = uses is not None and ExtendedKeyUsageOID.SERVER_AUTH not in uses.value
    if is_for_other_uses or (usage is not None and not usage.value.digital_signature):
        problem = "has a certificate that is not for servers"
        remedy = source.make_ca if is_ca else "Have it issued with serverAuth and digitalSignature"
        raise InvalidInput(key, "not-for-servers", problem, remedy)
    if usage is not None and usage.value.key_cert_sign and not is_ca:
        problem = "has a certificate with keyUsage keyCertSign that is not a CA"
        raise InvalidInput(key, "signs-without-ca", problem, "Have it issued without keyCertSign")
    has_critical_names = names is not None and names.critical and not is_ca
    if not list(leaf.issuer) or not (list(leaf.subject) or has_critical_names):
        problem = "has a certificate without a subject"
        remedy = "Have it issued with a common name (RFC 5280, 4.2.1.6)"
        raise InvalidInput(key, "subject-missing", problem, remedy)


def require_signature(key: str, lower: x509.Certificate, upper: x509.Certificate) -> None:
    """Require a hash that no client refuses, and the signer's key identifier, as Python's strict mode demands it."""
    algorithm = lower.signature_hash_algorithm
    if algorithm is None or algorithm.name not in HASHES:
        problem = f"has a certificate that is signed with {algorithm.name if algorithm else 'an unknown hash'}"
        remedy = "Have it issued with SHA-256, SHA-384 or SHA-512"
        raise InvalidInput(key, "weak-signature", problem, remedy)
    if not names_issuer(lower, upper):
        problem = "has a chain in which a certificate does not name the key of its issuer"
        remedy = "Have it issued with the authority key identifier of its CA (RFC 5280, 4.2.1.1)"
        raise InvalidInput(key, "authority-key-identifier", problem, remedy)


def names_issuer(lower: x509.Certificate, upper: x509.Certificate) -> bool:
    """Return whether the authority key identifier has the issuer's key, and no serial number of another issuer."""
    identifier = find_extension(lower, x509.AuthorityKeyIdentifier)
    signer = find_extension(upper, x509.SubjectKeyIdentifier)
    if identifier is None or signer is None or identifier.value.key_identifier != signer.value.digest:
        return False
    names, serial = identifier.value.authority_cert_issuer, identifier.value.authority_cert_serial_number
    return serial is None or (serial == upper.serial_number and list(names or []) == [x509.DirectoryName(upper.issuer)])


def _require_known_extensions(key: str, certificate: x509.Certificate) -> None:
    """Refuse critical extensions that clients do not know or that must not be critical (RFC 5280, 4.2.1.1-2)."""
    for extension in certificate.extensions:
        is_identifier = isinstance(extension.value, x509.SubjectKeyIdentifier | x509.AuthorityKeyIdentifier)
        if extension.critical and (is_identifier or isinstance(extension.value, x509.UnrecognizedExtension)):
            problem = f"has a certificate with the critical extension {extension.oid.dotted_string},"
            problem += " which clients refuse"
            raise InvalidInput(key, "unknown-critical-extension", problem, "Have it issued without that extension")


def find_extension(certificate: x509.Certificate, kind: type[Extension]) -> x509.Extension[Extension] | None:
    """Return the certificate's extension of this kind, or None."""
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def covers(leaf: x509.Certificate, host: str) -> bool:
    """Return whether a client that types `host` accepts the certificate. A wildcard covers one label (RFC 6125)."""
    names = find_extension(leaf, x509.SubjectAlternativeName)
    if names is None:
        return False
    if re.fullmatch(r"[0-9.]+|.*:.*", host):
        return ip_address(host) in names.value.get_values_for_type(x509.IPAddress)
    domain = host.lower().partition(".")[2]
    covering = (host.lower(), *([f"*.{domain}"] if "." in domain else []))  # OpenSSL refuses *.com
    return any(name.lower() in covering for name in dns_names(leaf))


def dns_names(leaf: x509.Certificate) -> list[str]:
    """Return the DNS names among the subject alternative names."""
    names = find_extension(leaf, x509.SubjectAlternativeName)
    return names.value.get_values_for_type(x509.DNSName) if names else []
