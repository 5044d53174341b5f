"""A certificate authority that issues client and server certificates with P-256 keys."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=3650)
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key. Their files are NAME.crt and NAME.key."""

    name: str
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return encode_private_key(self.key)

    def write(self, folder: Path) -> None:
        """Create both files in a folder."""
        (folder / f"{self.name}.crt").write_bytes(self.certificate_pem)
        write_private_file(folder / f"{self.name}.key", self.key_pem)


@dataclass(frozen=True)
class Authority:
    """A certificate authority: its own certificate and key."""

    pair: KeyPair

    @classmethod
    def create(cls, name: str) -> "Authority":
        key = generate_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            _certificate_builder(subject, subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
        )
        return cls(KeyPair(name, builder.sign(key, hashes.SHA256()), key))

    def issue(
        self,
        name: str,
        user: str,
        usages: Iterable[x509.ObjectIdentifier],
        hosts: Sequence[str] = (),
        group: str = "",
    ) -> KeyPair:
        """Issue a certificate with the common name `user` and the organization `group`, as Kubernetes reads them.

        `name` is the name of the files, `usages` are the extended key usages, and `hosts` the names and addresses of a
        server.
        """
        key = generate_key()
        parts = [(NameOID.ORGANIZATION_NAME, group)] if group else []
        subject = x509.Name([x509.NameAttribute(*part) for part in (*parts, (NameOID.COMMON_NAME, user))])
        builder = (
            _certificate_builder(subject, self.pair.certificate.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        )
        if hosts:
            alternatives = x509.SubjectAlternativeName(map(_general_name, hosts))
            builder = builder.add_extension(alternatives, critical=False)
        return KeyPair(name, builder.sign(self.pair.key, hashes.SHA256()), key)


def _certificate_builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def generate_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def encode_private_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def write_private_file(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read. An existing file keeps its mode."""
    path.touch(mode=0o600)
    path.write_bytes(content)
