"""Rules for chains of certificates. They agree with the verification of Go, of OpenSSL and of Python.

Clients that trust the output `ca_pem` alone must accept what the registry serves. OpenSSL by default, and so Python
3.11 and curl, needs the root among the trusted certificates. Go and Python 3.13 accept any CA there, but Python 3.13
checks each extension (docs/adr/0020-a-root-for-every-chain.md).
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import NamedTuple, TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from .errors import InvalidInput, quoted
from .limits import LONGEST_CERTIFICATE_DAYS
from .pem import (
    Origin,
    origin_of,
    private_key,
    read_certificates,
    require_plain_key,
    require_plain_lines,
    require_supported_key,
    to_pem,
)
from .secrets import ExistingSecret

Extension = TypeVar("Extension", bound=x509.ExtensionType)
Certificates = Sequence[x509.Certificate]

HASHES = ("sha256", "sha384", "sha512")
"""Hashes of a signature that every client accepts."""

MAKE_CA = (
    "Make one with `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 "
    "-subj '/CN=Registry CA' -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.pem`, then run "
    "`pulumi config set ca_certificate < ca.pem` and `pulumi config set --secret ca_key < ca.key`"
)


class ServedChain(NamedTuple):
    """What the registry serves, and the CAs that clients trust."""

    certificates: list[x509.Certificate]
    trusted: list[x509.Certificate]


class _Source(NamedTuple):
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


def validate_authority(value: str) -> str:
    """Return the PEM of a CA that can sign server certificates, and of the CAs above it up to the root."""
    key = "ca_certificate"
    signer, *above = read_certificates(origin_of(key), value)
    append = f"Write its certificate to root.pem, and run `cat ca.pem root.pem | pulumi config set {key}`"
    source = _Source(key, append, append, MAKE_CA)
    _require_authority(source, signer)
    _require_chain(source, signer, above, authorities_below=1)
    _require_root(source, [signer, *above], [signer, *above], authorities_below=1)
    return to_pem([signer, *above])


def require_key_of_authority(ca_certificate: str, ca_key: str) -> None:
    """Refuse a private key that is not the CA's."""
    signer, *_ = read_certificates(origin_of("ca_certificate"), ca_certificate)
    if private_key(origin_of("ca_key"), ca_key).public_key() != signer.public_key():
        problem = "is not the private key of the first certificate of `ca_certificate`"
        remedy = "Run `pulumi config set --secret ca_key < ca.key` with the key of that certificate"
        raise InvalidInput("ca_key", "key-of-another-certificate", problem, remedy)


def short_authority_warning(ca_certificate: str, days: int) -> str:
    """Return a warning if a CA ends before a server certificate that is issued today for `days`, else ""."""
    certificates = read_certificates(origin_of("ca_certificate"), ca_certificate)
    end = min(item.not_valid_after_utc for item in certificates)
    if end >= datetime.now(UTC) + timedelta(days=days):
        return ""
    return (
        f"`ca_certificate` ends on {end:%Y-%m-%d}, before the server certificate would. "
        "Renew it, or lower `certificate_days`."
    )


def validate_trusted(value: str) -> str:
    """Return the PEM of CAs that are valid today."""
    certificates = read_certificates(origin_of("upstream_ca"), value)
    for certificate in certificates:
        _require_valid_today("upstream_ca", certificate)
    return to_pem(certificates)


def validate_server_chain(
    secret: ExistingSecret, texts: dict[str, str], host: str, system_roots: Callable[[], Certificates]
) -> ServedChain:
    """Return the chain of a TLS Secret, and the CAs that clients trust. Clients that type `host` must accept it.

    The CAs are those of `ca.crt`. Without it they are the end of the chain, up to a root of the chain or of
    `system_roots`, as public CAs send no root.
    """
    with_ca = ("ca.crt",) if "ca.crt" in texts else ()
    origins = {name: Origin(secret.key, name, secret.command(*with_ca), f" in {name}") for name in texts}
    leaf, *above = read_certificates(origins["tls.crt"], texts["tls.crt"])
    if private_key(origins["tls.key"], texts["tls.key"]).public_key() != leaf.public_key():
        problem = "names a Secret whose key is not that of the first certificate in tls.crt"
        remedy = f"Write the two that belong together to tls.crt and tls.key, and run `{secret.command(*with_ca)}`"
        raise InvalidInput(secret.key, "key-of-another-certificate", problem, remedy)
    require_plain_lines(origins["tls.crt"], texts["tls.crt"])
    require_plain_key(origins["tls.key"], texts["tls.key"])
    source = _secret_source(secret, with_ca, host)
    _require_valid_today(secret.key, leaf)
    _require_server_certificate(source, leaf)
    if not _covers(leaf, host):
        problem = f"has a certificate without the subject alternative name {host}, which clients type"
        remedy = "Have it issued for that name too, or set `hostname` to a name that it has"
        raise InvalidInput(secret.key, "name-missing", problem, remedy)
    _require_chain(source, leaf, above, authorities_below=0)
    if with_ca:
        trusted = read_certificates(origins["ca.crt"], texts["ca.crt"])
    else:
        trusted = above or [leaf]
        if not _is_root(trusted[-1]):
            trusted = [*trusted, *_issuers(trusted[-1], system_roots())[:1]]
    _require_root(source, [leaf, *above], trusted, authorities_below=0)
    return ServedChain([leaf, *above], trusted)


def _secret_source(secret: ExistingSecret, with_ca: tuple[str, ...], host: str) -> _Source:
    make_again = (
        "Make one with `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 "
        f"-subj /CN=docker-registry -addext subjectAltName=DNS:{host} "
        "-addext keyUsage=critical,digitalSignature,keyCertSign -keyout tls.key -out tls.crt`, "
        f"and run `{secret.command()}`"
    )
    return _Source(
        secret.key,
        f"Write its certificate to root.pem, run `cat root.pem >> ca.crt`, then `{secret.command('ca.crt')}`",
        "Write its certificate to intermediate.pem, run `cat intermediate.pem >> tls.crt`, then "
        f"`{secret.command(*with_ca)}`",
        make_again,
    )


def _require_root(source: _Source, served: Certificates, trusted: Certificates, authorities_below: int) -> None:
    """Require that clients which trust `trusted` alone find a way from the first served certificate to a root.

    They prefer trusted certificates to served ones, and do not return to the served ones.
    """
    current, depth, rest = served[0], authorities_below, list(served[1:])
    while not (_is_root(current) and current in trusted):
        issuers = _issuers(current, [item for item in trusted if item != current])
        if issuers:
            rest = []
        elif rest:
            issuers = [rest.pop(0)]
        else:
            _refuse_end(source, current, trusted)
        current = _require_link(source, current, issuers[0], depth)
        depth += 1
        if depth > len(served) + len(trusted):
            raise InvalidInput(source.key, "not-a-chain", "has CAs that issued each other", source.add_root)


def _refuse_end(source: _Source, last: x509.Certificate, trusted: Certificates) -> None:
    """Refuse a chain that ends at `last`, and say which certificate is missing."""
    if _is_root(last):
        problem = f"has a chain that ends with {_name(last.subject)}, which is not in ca.crt"
        raise InvalidInput(source.key, "root-missing", problem, source.add_root)
    missing = f"lacks the certificate of {_name(last.issuer)}, which issued {_name(last.subject)}. "
    if any(_is_root(item) and item.subject != last.issuer for item in trusted):
        problem = f"{missing}It is an intermediate CA that clients do not have"
        raise InvalidInput(source.key, "intermediate-missing", problem, source.add_intermediate)
    problem = f"{missing}Programs that use OpenSSL accept a chain only with its root"
    raise InvalidInput(source.key, "root-missing", problem, source.add_root)


def _name(name: x509.Name) -> str:
    return quoted(name.rfc4514_string())


def _is_root(certificate: x509.Certificate) -> bool:
    """Return whether the certificate names itself as its issuer. Clients do not verify a root's own signature."""
    identifier = _extension(certificate, x509.AuthorityKeyIdentifier)
    is_named = identifier is None or identifier.value.key_identifier is None or _names_issuer(certificate, certificate)
    return certificate.subject == certificate.issuer and is_named


def _issuers(certificate: x509.Certificate, candidates: Certificates) -> list[x509.Certificate]:
    """Return the candidates that signed the certificate, the one that ends last first."""
    issuers = [item for item in candidates if _signed(item, certificate)]
    return sorted(issuers, key=lambda item: item.not_valid_after_utc, reverse=True)


def _signed(upper: x509.Certificate, lower: x509.Certificate) -> bool:
    try:
        lower.verify_directly_issued_by(upper)
    except Exception:  # a wrong name, a wrong signature or a wrong kind of key
        return False
    return True


def _require_authority(source: _Source, ca: x509.Certificate) -> None:
    """Require what Go, OpenSSL and Python's strict mode demand of a CA.

    The rules are those of RFC 5280, 4.1.2.6, 4.2.1.3 and 4.2.1.9.
    """
    key = source.key
    require_supported_key(key, ca.public_key())
    _require_valid_today(key, ca)
    _require_known_extensions(key, ca)
    basic, usage = _extension(ca, x509.BasicConstraints), _extension(ca, x509.KeyUsage)
    subject_key = _extension(ca, x509.SubjectKeyIdentifier)
    missing = {
        "a subject": bool(list(ca.subject) and list(ca.issuer)),
        "critical basicConstraints CA:TRUE": basic is not None and basic.critical and basic.value.ca,
        "keyUsage keyCertSign": usage is not None and usage.value.key_cert_sign,
        "a subject key identifier": subject_key is not None and bool(subject_key.value.digest),
    }
    if not all(missing.values()):
        lacks = " and ".join(part for part, is_there in missing.items() if not is_there)
        raise InvalidInput(key, "not-a-ca", f"has a certificate that is not a CA: it lacks {lacks}", source.make_ca)
    if (uses := _extension(ca, x509.ExtendedKeyUsage)) and ExtendedKeyUsageOID.SERVER_AUTH not in uses.value:
        problem = "has a CA that may not sign for servers"
        raise InvalidInput(key, "not-a-ca-of-servers", problem, "Use a CA that allows serverAuth")
    if _extension(ca, x509.NameConstraints):
        # They would have to name every host of the server certificate, including those inside the cluster.
        raise InvalidInput(key, "name-constraints", "has a CA with name constraints", source.make_ca)


def _require_valid_today(key: str, certificate: x509.Certificate) -> None:
    now, end = datetime.now(UTC), certificate.not_valid_after_utc
    if not certificate.not_valid_before_utc <= now < end:
        span = f"from {certificate.not_valid_before_utc:%Y-%m-%d} to {end:%Y-%m-%d}"
        raise InvalidInput(key, "not-valid-today", f"has a certificate that is valid {span}, not today", "Renew it")


def _require_server_certificate(source: _Source, leaf: x509.Certificate) -> None:
    """Require a certificate that every client accepts from a server."""
    key, lasts = source.key, leaf.not_valid_after_utc - leaf.not_valid_before_utc
    if lasts > timedelta(days=LONGEST_CERTIFICATE_DAYS + 1):
        problem = f"has a certificate for {lasts.days} days, but browsers and macOS refuse more than"
        problem += f" {LONGEST_CERTIFICATE_DAYS}"
        raise InvalidInput(key, "lasts-too-long", problem, "Have it issued for less")
    _require_known_extensions(key, leaf)
    uses, usage = _extension(leaf, x509.ExtendedKeyUsage), _extension(leaf, x509.KeyUsage)
    names, basic = _extension(leaf, x509.SubjectAlternativeName), _extension(leaf, x509.BasicConstraints)
    is_ca = basic is not None and basic.value.ca
    if is_ca:
        # Self-signed certificates often are CAs, and strict clients then demand the same of them as of any CA.
        _require_authority(source, leaf)
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


def _require_chain(source: _Source, first: x509.Certificate, above: Certificates, authorities_below: int) -> None:
    """Require that the next certificate signed each one, and that its path length allows the CAs below it."""
    pairs = list(zip([first, *above], above, strict=False))
    if not all(_signed(upper, lower) for lower, upper in pairs):
        problem = "has certificates that do not form a chain"
        remedy = "Put the first certificate first, then the one that signed it, and so on"
        raise InvalidInput(source.key, "not-a-chain", problem, remedy)
    for depth, (lower, upper) in enumerate(pairs, authorities_below):
        _require_link(source, lower, upper, depth)


def _require_link(source: _Source, lower: x509.Certificate, upper: x509.Certificate, depth: int) -> x509.Certificate:
    """Return `upper`, if it may issue `lower` with `depth` CAs below it."""
    _require_authority(source, upper)
    _require_signature(source.key, lower, upper)
    longest = upper.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    if longest is not None and longest < depth:
        problem = f"has a chain with {depth} CAs below a CA that allows {longest}"
        raise InvalidInput(source.key, "path-length", problem, "Use a CA with a longer pathlen")
    return upper


def _require_signature(key: str, lower: x509.Certificate, upper: x509.Certificate) -> None:
    """Require a hash that no client refuses, and the signer's key identifier, as Python's strict mode demands it."""
    algorithm = lower.signature_hash_algorithm
    if algorithm is None or algorithm.name not in HASHES:
        problem = f"has a certificate that is signed with {algorithm.name if algorithm else 'an unknown hash'}"
        remedy = "Have it issued with SHA-256, SHA-384 or SHA-512"
        raise InvalidInput(key, "weak-signature", problem, remedy)
    if not _names_issuer(lower, upper):
        problem = "has a chain in which a certificate does not name the key of its issuer"
        remedy = "Have it issued with the authority key identifier of its CA (RFC 5280, 4.2.1.1)"
        raise InvalidInput(key, "authority-key-identifier", problem, remedy)


def _names_issuer(lower: x509.Certificate, upper: x509.Certificate) -> bool:
    """Return whether the authority key identifier has the issuer's key, and no serial number of another issuer."""
    identifier = _extension(lower, x509.AuthorityKeyIdentifier)
    signer = _extension(upper, x509.SubjectKeyIdentifier)
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
