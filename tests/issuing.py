"""Issue valid and invalid certificates for the tests."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE


KEY_PASSWORD = "password of the test"
"""Password of encrypted keys."""


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    """Return an RSA key, the same one each time, because it takes a tenth of a second to generate."""
    return rsa.generate_private_key(65537, 2048)


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class CertificateSpec:
    """Properties of a certificate. The defaults describe a CA that every client accepts.

    Attributes:
        pathlen: Maximum number of CAs below it in a chain. None allows any number.
        usage: Key usages. None leaves the extension out.
        starts: Days from now until the certificate is valid. It is negative for a past day.
        days: Lifetime in days.
        authority_key: Identifier of the issuer's key: "right", "wrong", or "" for none.
        authority_serial: Serial number of the issuer, in addition to its key. None for the key alone.
        permitted_names: Domains of the name constraints.
        unknown_critical: Whether it has a critical extension that no client knows.
    """

    name: str = "Test CA"
    subject: tuple[tuple[ObjectIdentifier, str], ...] = ()
    ca: bool = True
    ca_critical: bool = True
    pathlen: int | None = None
    usage: tuple[str, ...] | None = ("key_cert_sign", "crl_sign")
    extended_usage: tuple[ObjectIdentifier, ...] = ()
    hosts: tuple[str, ...] = ()
    hosts_critical: bool = False
    starts: float = -1
    days: float = 3650
    hash_algorithm: Any = field(default_factory=hashes.SHA256)
    subject_key: bool = True
    authority_key: str = "right"
    authority_serial: int | None = None
    permitted_names: tuple[str, ...] = ()
    unknown_critical: bool = False


SERVER_SPEC = CertificateSpec(
    name="docker-registry", ca=False, usage=("digital_signature",), extended_usage=(SERVER,), days=356
)


def server_spec(*hosts: str, **changes: Any) -> CertificateSpec:
    """Return the properties of a server certificate for these hosts."""
    return replace(SERVER_SPEC, hosts=hosts, **changes)


def pem_of(key: Key) -> str:
    """Return the key in PEM, unencrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def google_key(key: rsa.RSAPrivateKey | None = None) -> dict[str, str]:
    """Return the fields of the file that `gcloud iam service-accounts keys create` writes."""
    return {
        "type": "service_account",
        "project_id": "team",
        "private_key_id": "0123456789abcdef",
        "private_key": pem_of(key or rsa_key()),
        "client_email": "registry@team.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    }


@dataclass(frozen=True)
class IssuedCertificate:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return pem_of(self.key)

    @property
    def encrypted_key_pem(self) -> str:
        encryption = BestAvailableEncryption(KEY_PASSWORD.encode())
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def issue(spec: CertificateSpec, issuer: IssuedCertificate | None = None, key: Key | None = None) -> IssuedCertificate:
    """Issue a certificate. It is self-signed without an `issuer`."""
    key = key or p256()
    subject = _subject(spec)
    starts = datetime.now(UTC) + timedelta(days=spec.starts)
    builder = x509.CertificateBuilder(
        issuer_name=issuer.certificate.subject if issuer else subject,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=starts,
        not_valid_after=starts + timedelta(days=spec.days),
    )
    for extension, critical in (*_extensions(spec), *_identifiers(spec, key, issuer)):
        builder = builder.add_extension(extension, critical)
    issuer_key: Any = issuer.key if issuer else key
    return IssuedCertificate(builder.sign(issuer_key, spec.hash_algorithm), key)


def _subject(spec: CertificateSpec) -> x509.Name:
    common_name = [(NameOID.COMMON_NAME, spec.name)] if spec.name else []
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in (*spec.subject, *common_name)])


def _extensions(spec: CertificateSpec) -> Sequence[tuple[x509.ExtensionType, bool]]:
    extensions: list[tuple[x509.ExtensionType, bool]] = []
    if spec.ca:
        extensions.append((x509.BasicConstraints(True, spec.pathlen), spec.ca_critical))
    if spec.usage is not None:
        extensions.append((x509.KeyUsage(**{each: each in spec.usage for each in USAGES}), True))
    if spec.extended_usage:
        extensions.append((x509.ExtendedKeyUsage(spec.extended_usage), False))
    if spec.hosts:
        extensions.append((x509.SubjectAlternativeName(map(_general_name, spec.hosts)), spec.hosts_critical))
    if spec.permitted_names:
        extensions.append((x509.NameConstraints(list(map(x509.DNSName, spec.permitted_names)), None), True))
    if spec.unknown_critical:
        extensions.append((x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"), True))
    return extensions


def _identifiers(
    spec: CertificateSpec, key: Key, issuer: IssuedCertificate | None
) -> Sequence[tuple[x509.ExtensionType, bool]]:
    extensions: list[tuple[x509.ExtensionType, bool]] = []
    if spec.subject_key:
        extensions.append((x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
    if issuer and spec.authority_key:
        issuer_key = issuer.key if spec.authority_key == "right" else p256()
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        if spec.authority_serial is not None:
            names = [x509.DirectoryName(issuer.certificate.subject)]
            identifier = x509.AuthorityKeyIdentifier(identifier.key_identifier, names, spec.authority_serial)
        extensions.append((identifier, False))
    return extensions


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
