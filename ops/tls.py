"""Open TLS connections to the registry."""

import socket
import ssl
from typing import Any, NamedTuple

from .stack import Outputs

TIMEOUT = 10.0
"""Seconds to wait for a connection or an answer."""

SECONDS_PER_DAY = 86_400

EXPIRED, NOT_YET_VALID, WRONG_HOST, WRONG_ADDRESS = 10, 9, 62, 64
"""OpenSSL's X509_V_ERR_ numbers. Any other number means that no trusted CA issued the certificate."""


class Handshake(NamedTuple):
    """Certificate and protocol of a server. `certificate` is empty if it was not verified."""

    certificate: dict[str, Any]
    der: bytes
    protocol: str


def perform_handshake(outputs: Outputs, address: tuple[str, int] | None, context: ssl.SSLContext) -> Handshake:
    """Connect to `address`, by default the endpoint, and return the server's certificate and protocol."""
    with (
        socket.create_connection(address or (outputs.host, outputs.port), timeout=TIMEOUT) as connection,
        context.wrap_socket(connection, server_hostname=outputs.host) as tls,
    ):
        return Handshake(dict(tls.getpeercert() or {}), tls.getpeercert(binary_form=True) or b"", tls.version() or "")
