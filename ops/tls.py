"""Open TLS connections to the registry."""

import socket
import ssl
from typing import Any, NamedTuple

from .stack import Outputs

TIMEOUT = 10.0
"""Seconds to wait for a connection or an answer."""

SECONDS_PER_DAY = 86_400

EXPIRED, NOT_YET_VALID, WRONG_HOST, WRONG_ADDRESS = 10, 9, 62, 64
"""OpenSSL's X509_V_ERR_ numbers. With any other number, the chain does not lead to a trusted CA."""


class Handshake(NamedTuple):
    """Certificate and TLS version of a server. `der` is the certificate in DER.

    `certificate` has its fields as `ssl` reads them, or is empty if the certificate was not verified.
    """

    certificate: dict[str, Any]
    der: bytes
    protocol: str


def perform_handshake(outputs: Outputs, address: tuple[str, int] | None, context: ssl.SSLContext) -> Handshake:
    """Connect to `address`, or to the endpoint if it is None. Return the server's certificate and TLS version.

    Raise `OSError` if there is no connection, and `ssl.SSLError` if the handshake fails.
    """
    with (
        socket.create_connection(address or (outputs.host, outputs.port), timeout=TIMEOUT) as connection,
        context.wrap_socket(connection, server_hostname=outputs.host) as tls,
    ):
        return Handshake(dict(tls.getpeercert() or {}), tls.getpeercert(binary_form=True) or b"", tls.version() or "")
