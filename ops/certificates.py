"""What TLS tells: the certificate that a registry shows, and the CAs that its clients trust."""

import re
import ssl
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from .causes import EXPIRED, NOT_YET_VALID
from .checks import DAY, handshake
from .facts import Authority, Leaf
from .stack import Outputs, Refusal

GENERATED = re.compile(r".* CA(?: (?P<generation>\d+))?")
"""The common name of a CA that the component made, `HOST CA` or `HOST CA 2`."""


def shown_leaf(outputs: Outputs, address: tuple[str, int] | None) -> Leaf:
    """The certificate that is shown there, also one that no client would take."""
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    found = x509.load_der_x509_certificate(handshake(outputs, address, unverified).der)
    signers = [each for each in _certificates(outputs.ca_pem) if _signed(found, each)]
    signer = _name(signers[0].subject if signers else found.issuer)
    return Leaf(_days_left(found), signer, _is_trusted(outputs, address))


def trusted_authorities(ca_pem: str) -> list[Authority]:
    """In the order in which they stand there."""
    found = []
    for each in _certificates(ca_pem):
        name = _name(each.subject)
        own = GENERATED.fullmatch(name)
        generation = int(own["generation"] or 1) if own and each.subject == each.issuer else None
        found.append(Authority(name, generation, _days_left(each)))
    return found


def _is_trusted(outputs: Outputs, address: tuple[str, int] | None) -> bool:
    """Whether one of the CAs vouches for it; its dates and the name are other questions."""
    context = ssl.create_default_context(cadata=outputs.ca_pem)
    context.check_hostname = False
    try:
        handshake(outputs, address, context)
    except ssl.SSLCertVerificationError as refusal:
        return refusal.verify_code in (EXPIRED, NOT_YET_VALID)
    return True


def _certificates(pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise Refusal("the CA is no PEM: give the file that `pulumi stack output ca_pem` prints") from None


def _signed(found: x509.Certificate, signer: x509.Certificate) -> bool:
    try:
        found.verify_directly_issued_by(signer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _name(subject: x509.Name) -> str:
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else subject.rfc4514_string()


def _days_left(found: x509.Certificate) -> float:
    return round((found.not_valid_after_utc - datetime.now(UTC)).total_seconds() / DAY, 2)
