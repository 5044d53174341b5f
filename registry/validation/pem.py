"""Read certificates and private keys in PEM, and write them in the form that every other program reads.

Keys and certificates of inputs are normalized, so that Go reads exactly the checked content. The registry serves the
files of an existing Secret unchanged, so `require_plain_lines` refuses a file that Go reads in another way.
"""

import re
import warnings
from base64 import b64decode
from collections.abc import Sequence
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.utils import CryptographyDeprecationWarning

from .errors import InvalidInput
from .secrets import BYTE_ORDER_MARK

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

CURVES = ("secp256r1", "secp384r1")
"""Elliptic curves that every client accepts."""

LONGEST_KIB = 512
"""Most characters of a PEM file, in units of 1024. A Secret holds twice as much, and all public CAs take half of it."""

CERTIFICATE_BEGIN = re.compile(r"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----")
"""First line of a certificate, in one of the three forms that OpenSSL writes."""

KEY_BLOCK = re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----([A-Za-z0-9+/=\s]*)-----END")
"""Pattern of a private key in PKCS#8, or in the traditional form of its kind."""

ENCRYPTED = re.compile(r"-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED")
"""Marks of the two encrypted forms."""

MARKER = re.compile(r"-----(?:BEGIN|END)")
FULL_MARKER = re.compile(r"-----(?:BEGIN|END) (?!X509 CERTIFICATE)[A-Z0-9 ]+-----[ \t\r]*")
"""First or last line of a block, as Go reads it: nothing before it, only spaces after it, and the usual name."""

EXPLICIT_CURVE, PSS_ONLY = bytes.fromhex("06072a8648ce3d0101"), bytes.fromhex("06092a864886f70d01010a")
"""Object identifiers in keys that Go does not read: a curve without its name, and RSA for PSS only."""


class Origin(NamedTuple):
    """The input that a PEM file belongs to.

    Attributes:
        key: The input.
        file: Name of the file.
        command: Command that passes the file again.
        where: Words that name a file of a Secret, or "".
    """

    key: str
    file: str
    command: str
    where: str = ""


def origin_of(key: str) -> Origin:
    """Return the origin of a value of the config."""
    if key == "ca_key":
        return Origin(key, "ca.key", "pulumi config set --secret ca_key < ca.key")
    return Origin(key, "ca.pem", f"pulumi config set {key} < ca.pem")


def read_certificates(origin: Origin, value: str) -> list[x509.Certificate]:
    """Return every certificate of a PEM file. Refuse a file without one, and certificates that Go does not read."""
    key, where = origin.key, origin.where
    remedy = f"Write whole certificates with their BEGIN and END lines to {origin.file}, and run `{origin.command}`"
    if not isinstance(value, str) or "PRIVATE KEY" in value or len(value) > LONGEST_KIB * 1024:
        problem = f"must have only certificates in PEM{where}, at most {LONGEST_KIB} KiB"
        raise InvalidInput(key, "not-certificates", problem, remedy)
    if "BEGIN PKCS7" in value:
        convert = f"Run `openssl pkcs7 -print_certs -in ca.p7b -out {origin.file}`, then `{origin.command}`"
        raise InvalidInput(key, "pkcs7", f"has certificates{where} in PKCS#7, and not in PEM alone", convert)
    # A serial number of 0 or below causes a warning. Public roots have one, so it is no reason to refuse 0.
    with warnings.catch_warnings(action="ignore", category=CryptographyDeprecationWarning):
        try:
            certificates = _parse_certificates(value)
        except Exception:  # each part of a certificate has its own kinds of errors
            problem = f"has no certificate{where}, or one that cannot be read"
            raise InvalidInput(key, "unreadable-certificates", problem, remedy) from None
        for certificate in certificates:
            _require_readable_in_go(origin, certificate)
    return certificates


def _parse_certificates(value: str) -> list[x509.Certificate]:
    """Return the certificates. Raise any error if the text has no certificate, or one that cannot be read."""
    certificates = x509.load_pem_x509_certificates(value.encode())
    if len(certificates) != len(CERTIFICATE_BEGIN.findall(value)):
        raise ValueError("a block was left out")
    for certificate in certificates:  # these are parsed at their first use only
        _ = certificate.subject, certificate.issuer, certificate.extensions, certificate.public_key()
        _ = certificate.signature_hash_algorithm, certificate.not_valid_after_utc, certificate.not_valid_before_utc
    return certificates


def _require_readable_in_go(origin: Origin, certificate: x509.Certificate) -> None:
    """Refuse encodings that Go's crypto/x509 does not read, though OpenSSL does."""
    public_key = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    if public_key not in certificate.tbs_certificate_bytes:
        problem = f"has a certificate{origin.where} whose key is encoded in a way that Go does not read: explicit "
        problem += "parameters of a curve, a compressed point, or RSA for PSS only"
        remedy = "Have it issued for a key that `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` writes"
        raise InvalidInput(origin.key, "key-encoding", problem, remedy)
    if certificate.serial_number < 0:
        problem = f"has a certificate{origin.where} with a negative serial number, which Go does not read"
        raise InvalidInput(origin.key, "negative-serial", problem, "Have it issued with a positive serial number")


def to_pem(certificates: Sequence[x509.Certificate]) -> str:
    """Return the PEM of the certificates, without the comments of their file."""
    return "".join(item.public_bytes(serialization.Encoding.PEM).decode() for item in certificates)


def key_to_pem(key: PrivateKey) -> str:
    """Return the key as PKCS#8, which pulumi-tls reads. It reads the first block only, such as EC PARAMETERS."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def private_key(origin: Origin, value: str) -> PrivateKey:
    """Return an unencrypted private key of a kind that every client accepts. No message holds any of it."""
    key, where = origin.key, origin.where
    remedy = f"Write the private key alone to {origin.file}, and run `{origin.command}`"
    if not isinstance(value, str):
        problem = f"must be a private key in PEM, not a value of type {type(value).__name__}"
        raise InvalidInput(key, "not-a-key", problem, remedy)
    if ENCRYPTED.search(value):
        decrypt = f"Run `openssl pkey -in encrypted.key -out {origin.file}`, then `{origin.command}`"
        raise InvalidInput(key, "encrypted-key", f"has an encrypted key{where}", decrypt)
    if len(KEY_BLOCK.findall(value)) > 1:
        raise InvalidInput(key, "several-keys", f"has several private keys{where}", remedy)
    try:
        loaded = serialization.load_pem_private_key(value.encode(), password=None)
    except Exception:  # every kind of error, and each may hold a part of the key
        problem = f"has no private key in PEM{where} that can be read"
        raise InvalidInput(key, "unreadable-key", problem, remedy) from None
    require_supported_key(key, loaded.public_key())
    return loaded  # type: ignore[return-value]  # `require_supported_key` accepts these two only


def require_supported_key(key: str, public: PublicKeyTypes) -> None:
    """Refuse kinds of keys that some client refuses."""
    is_supported = (isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in CURVES) or (
        isinstance(public, rsa.RSAPublicKey) and 2048 <= public.key_size <= 4096
    )
    if not is_supported:
        problem = "has a key that is not ECDSA P-256 or P-384, or RSA of 2048 to 4096 bits"
        raise InvalidInput(key, "unsupported-key", problem, "Use P-256 unless a client needs RSA")


def require_plain_lines(origin: Origin, text: str) -> None:
    """Refuse a file of an existing Secret that Go reads otherwise than this module, or not at all."""
    if text.startswith(BYTE_ORDER_MARK):
        problem = f"has a byte order mark{origin.where}, so the registry would skip the first block"
        remedy = f"Save {origin.file} as UTF-8 without a byte order mark, and run `{origin.command}`"
        raise InvalidInput(origin.key, "byte-order-mark", problem, remedy)
    for number, line in enumerate(text.split("\n"), 1):
        if MARKER.search(line) and not FULL_MARKER.fullmatch(line):
            problem = f"has a BEGIN or END{origin.where} that the registry does not read, in line {number}"
            remedy = f"Give each BEGIN and END a line of its own in {origin.file}, without spaces before it, "
            remedy += f"and run `{origin.command}`"
            raise InvalidInput(origin.key, "pem-lines", problem, remedy)


def require_plain_key(origin: Origin, text: str) -> None:
    """Refuse a key of an existing Secret that Go does not read. `private_key` must have accepted it."""
    require_plain_lines(origin, text)
    content = b64decode("".join(KEY_BLOCK.findall(text)))
    if EXPLICIT_CURVE in content:
        problem = f"has a key{origin.where} with explicit parameters of its curve, which Go does not read"
        remedy = f"Run `openssl pkey -in {origin.file} -ec_param_enc named_curve -out named.key`, "
        remedy += f"`mv named.key {origin.file}`, then `{origin.command}`"
        raise InvalidInput(origin.key, "key-encoding", problem, remedy)
    if PSS_ONLY in content:
        problem = f"has a key{origin.where} for RSA with PSS only, which Go does not read"
        remedy = "Have a certificate issued for a key that `openssl genpkey -algorithm RSA` writes"
        raise InvalidInput(origin.key, "key-encoding", problem, remedy)
