"""Connections to a server, directly or through a proxy. They are opened by their first request."""

import base64
import http.client
import ssl
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from .storage import StorageError


class Proxy(NamedTuple):
    """A proxy. `login` has the header with its credentials, or is empty."""

    host: str
    port: int
    login: Mapping[str, str]


def parse_proxy(url: str) -> Proxy | None:
    """Return the proxy with this URL, or None if the URL is ""."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        raise StorageError("`outbound_proxy` has an https URL, which the jobs cannot use. Use its http port.")
    if not parts.hostname:
        return None
    login = basic(unquote(parts.username), unquote(parts.password or "")) if parts.username else ""
    return Proxy(parts.hostname, parts.port or 80, {"Proxy-Authorization": login} if login else {})


def connect(
    server: SplitResult, proxy: Proxy | None, context: ssl.SSLContext | None, timeout: float
) -> http.client.HTTPConnection:
    """Return a connection to the server, by TLS if there is a `context`.

    A proxy gets TLS as a tunnel. Without TLS, the connection is one to the proxy, which needs the whole URL of a
    request and its login.
    """
    host = server.hostname or ""
    if context is None:
        address = (proxy.host, proxy.port) if proxy else (host, server.port or 80)
        return http.client.HTTPConnection(*address, timeout=timeout)
    if proxy is None:
        return http.client.HTTPSConnection(host, server.port or 443, timeout=timeout, context=context)
    tunnel = http.client.HTTPSConnection(proxy.host, proxy.port, timeout=timeout, context=context)
    tunnel.set_tunnel(host, server.port or 443, {**proxy.login})
    return tunnel


def basic(username: str, password: str) -> str:
    """Return the value of a header with a login."""
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"
