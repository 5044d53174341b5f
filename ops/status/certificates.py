"""Read the server certificate, and the CAs that clients trust."""

import re
import ssl
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from ..errors import CommandError
from ..stack import Outputs
from ..tls import EXPIRED, NOT_YET_VALID, SECONDS_PER_DAY, perform_handshake
from .facts import CertificateAuthority, ServerCertificate

GENERATED_NAME = re.compile(r".* CA(?: (?P<generation>\d+))?")
"""Common name of a CA that the component generated: `HOST CA` or `HOST CA 2`."""


def read_server_certificate(outputs: Outputs, address: tuple[str, int] | None) -> ServerCertificate:
    """Return the facts about the server's certificate, also if clients reject the certificate."""
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    certificate = x509.load_der_x509_certificate(perform_handshake(outputs, address, unverified).der)
    issuers = [ca for ca in _load_certificates(outputs.ca_pem) if _is_issued_by(certificate, ca)]
    issuer = _common_name(issuers[0].subject if issuers else certificate.issuer)
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
    return ServerCertificate(_days_left(certificate), issuer, _is_trusted(outputs, address), fingerprint)


def read_authorities(ca_pem: str) -> list[CertificateAuthority]:
    """Return the CAs of a PEM text in the order of the text. Raise `CommandError` if the text has no CA.

    If the component generated the CAs of the registry, the CA of a bucket (`s3_redirect`) after them is left out.
    """
    authorities = []
    for certificate in _load_certificates(ca_pem):
        name = _common_name(certificate.subject)
        match = GENERATED_NAME.fullmatch(name)
        is_generated = match and certificate.subject == certificate.issuer
        generation = int(match["generation"] or 1) if match and is_generated else None
        authorities.append(CertificateAuthority(name, generation, _days_left(certificate)))
    first = {ca.generation: ca for ca in reversed(authorities)}
    return [ca for ca in authorities if ca.generation is not None and first[ca.generation] is ca] or authorities


def clean_pem(pem: str) -> str:
    """Return the certificates of `pem` without other text, because `ssl` accepts only ASCII.

    A file may have a byte order mark or a comment. Raise `CommandError` if it has no certificate.
    """
    certificates = _load_certificates(pem)
    return "".join(item.public_bytes(serialization.Encoding.PEM).decode() for item in certificates)


def _is_trusted(outputs: Outputs, address: tuple[str, int] | None) -> bool:
    """Return whether one of the CAs issued the certificate, whatever its dates and names."""
    context = ssl.create_default_context(cadata=outputs.ca_pem)
    context.check_hostname = False
    try:
        perform_handshake(outputs, address, context)
    except ssl.SSLCertVerificationError as error:
        return error.verify_code in (EXPIRED, NOT_YET_VALID)
    return True


def _load_certificates(pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise CommandError(
            "The CA is not in PEM format.", "Use the file that `pulumi stack output ca_pem > ca.pem` writes."
        ) from None


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _common_name(subject: x509.Name) -> str:
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else subject.rfc4514_string()


def _days_left(certificate: x509.Certificate) -> float:
    return round((certificate.not_valid_after_utc - datetime.now(UTC)).total_seconds() / SECONDS_PER_DAY, 2)
