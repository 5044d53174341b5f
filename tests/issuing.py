"""Certificates of every kind, right and wrong, for the tests of the rules and of what clients make of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
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


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Wanted:
    """What to issue. The defaults make a CA that every client takes; `leaf` makes a server's certificate."""

    name: str = "Test CA"
    subject: tuple[tuple[ObjectIdentifier, str], ...] = ()
    ca: bool = True
    ca_critical: bool = True
    pathlen: int | None = None
    usage: tuple[str, ...] | None = ("key_cert_sign", "crl_sign")
    extended: tuple[ObjectIdentifier, ...] = ()
    hosts: tuple[str, ...] = ()
    hosts_critical: bool = False
    starts: float = -1
    days: float = 3650
    hashed: Any = field(default_factory=hashes.SHA256)
    subject_key: bool = True
    authority_key: str = "right"
    permitted: tuple[str, ...] = ()
    unknown_critical: bool = False


LEAF = Wanted(name="docker-registry", ca=False, usage=("digital_signature",), extended=(SERVER,), days=356)


def leaf(*hosts: str, **changes: Any) -> Wanted:
    return replace(LEAF, hosts=hosts, **changes)


@dataclass(frozen=True)
class Issued:
    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def encrypted_key_pem(self) -> str:
        locked = BestAvailableEncryption(b"of the test")
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked).decode()


def issue(wanted: Wanted, signer: Issued | None = None, key: Key | None = None) -> Issued:
    """Signed by `signer`, or by itself."""
    key = key or p256()
    subject = _subject(wanted)
    starts = datetime.now(UTC) + timedelta(days=wanted.starts)
    builder = x509.CertificateBuilder(
        issuer_name=signer.certificate.subject if signer else subject,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=starts,
        not_valid_after=starts + timedelta(days=wanted.days),
    )
    for extension, critical in (*_extensions(wanted), *_identifiers(wanted, key, signer)):
        builder = builder.add_extension(extension, critical)
    signing: Any = signer.key if signer else key
    return Issued(builder.sign(signing, wanted.hashed), key)


def _subject(wanted: Wanted) -> x509.Name:
    named = [(NameOID.COMMON_NAME, wanted.name)] if wanted.name else []
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in (*wanted.subject, *named)])


def _extensions(wanted: Wanted) -> Sequence[tuple[x509.ExtensionType, bool]]:
    found: list[tuple[x509.ExtensionType, bool]] = []
    if wanted.ca:
        found.append((x509.BasicConstraints(True, wanted.pathlen), wanted.ca_critical))
    if wanted.usage is not None:
        found.append((x509.KeyUsage(**{each: each in wanted.usage for each in USAGES}), True))
    if wanted.extended:
        found.append((x509.ExtendedKeyUsage(wanted.extended), False))
    if wanted.hosts:
        found.append((x509.SubjectAlternativeName(map(_general_name, wanted.hosts)), wanted.hosts_critical))
    if wanted.permitted:
        found.append((x509.NameConstraints(list(map(x509.DNSName, wanted.permitted)), None), True))
    if wanted.unknown_critical:
        found.append((x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"), True))
    return found


def _identifiers(wanted: Wanted, key: Key, signer: Issued | None) -> Sequence[tuple[x509.ExtensionType, bool]]:
    found: list[tuple[x509.ExtensionType, bool]] = []
    if wanted.subject_key:
        found.append((x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
    if signer and wanted.authority_key:
        named = signer.key if wanted.authority_key == "right" else p256()
        found.append((x509.AuthorityKeyIdentifier.from_issuer_public_key(named.public_key()), False))
    return found


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
