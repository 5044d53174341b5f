"""Read the ends of certificates, because Python shows the fields of a certificate only if it trusts it."""

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

VERSION_TAG = 0xA0
"""Tag of the optional field `version` (RFC 5280, TBSCertificate)."""

UTC_TIME = 0x17
"""Tag of a time with a year of two digits. Such a certificate ends before 2050."""


class Element(NamedTuple):
    """An element of DER: its tag, and where its content starts and ends."""

    tag: int
    start: int
    end: int


def split_pem(text: str) -> list[bytes]:
    """Return the certificates of a PEM text, DER."""
    return [ssl.PEM_cert_to_DER_cert(block) for block in PEM.findall(text)]


def end_of(certificate: bytes) -> float:
    """Return the end of a certificate, DER, as POSIX time. Raise ValueError if it is not a certificate."""
    try:
        whole = _element(certificate, 0)
        fields = [*_children(certificate, _element(certificate, whole.start))]
        has_version = fields[0].tag == VERSION_TAG
        validity = fields[3 + has_version]  # after the serial number, the algorithm and the issuer
        _, not_after = _children(certificate, validity)
    except IndexError as error:
        raise ValueError("This is not a certificate.") from error
    text = certificate[not_after.start : not_after.end].decode("ascii")
    form = "%y%m%d%H%M%SZ" if not_after.tag == UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()


def _element(data: bytes, position: int) -> Element:
    """Return the element at a position."""
    tag, length, start = data[position], data[position + 1], position + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(data[start : start + size], "big"), start + size
    if start + length > len(data):
        raise IndexError(position)
    return Element(tag, start, start + length)


def _children(data: bytes, parent: Element) -> Iterator[Element]:
    """Yield the elements in an element."""
    position = parent.start
    while position < parent.end:
        child = _element(data, position)
        yield child
        position = child.end
