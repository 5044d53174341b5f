"""A client of the registry: `oras`, told whom to trust, where to connect and when to give up.

Four of its habits are switched off here: it retries for two minutes, it looks for credentials in the user's
~/.docker, it logs what the registry answers, and it does not push what is there already. Proxies and `.netrc` are left
aside as well: what is verified is the registry, not the surroundings of the person who asks.
"""

from pathlib import Path
from typing import Any

import requests
from oras.container import Container
from oras.logger import setup_logger
from oras.provider import Registry
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth

from .stack import Outputs

TIMEOUT = 10.0
"""Seconds until a connection or an answer is given up."""


class RegistryClient(Registry):
    """Talks to the stack's registry as its user; every request ends within a bounded time."""

    def __init__(self, outputs: Outputs, ca: Path, address: tuple[str, int] | None) -> None:
        super().__init__(hostname=outputs.endpoint)
        setup_logger(quiet=True)
        self.auth = _GivenCredentials()
        self.session.trust_env = False
        self.session.verify = str(ca)
        self.session.auth = _basic(outputs.username, outputs.password)
        if address:
            self.session.mount(f"https://{outputs.endpoint}/", PinnedAddress(outputs, address))

    def do_request(self, url: str, method: str = "GET", **given: Any) -> requests.Response:
        """One request, once. What no step can go on from is raised; 404, 405 and the like are answers."""
        response: requests.Response = self.session.request(method, url, timeout=TIMEOUT, **given)
        if response.status_code in (401, 403, 429) or response.status_code >= 500:
            response.raise_for_status()
        return response

    def blob_exists(self, layer: dict[str, Any], container: Container) -> bool:
        """Never: so that every push writes, and a full disk shows."""
        return False

    def status_as(self, username: str, password: str) -> int:
        """The status that somebody else gets; without a username, that of a client that sends no credentials."""
        credentials = _basic(username, password) if username else _no_credentials
        response = self.session.get(f"https://{self.hostname}/v2/", timeout=TIMEOUT, auth=credentials)
        if response.status_code >= 500:
            response.raise_for_status()
        return response.status_code


class PinnedAddress(HTTPAdapter):
    """Connects to `address` whatever the name resolves to; SNI, certificate check and Host stay the endpoint's."""

    def __init__(self, outputs: Outputs, address: tuple[str, int]) -> None:
        self._outputs, self._address = outputs, address
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Hand the endpoint's name to TLS."""
        host = self._outputs.host
        super().init_poolmanager(*args, server_hostname=host, assert_hostname=host, **kwargs)

    def build_connection_pool_key_attributes(self, *args: Any, **kwargs: Any) -> Any:
        """Hand the address to the connection."""
        where, tls = super().build_connection_pool_key_attributes(*args, **kwargs)
        where["host"], where["port"] = self._address
        return where, tls

    def add_headers(self, request: requests.PreparedRequest, **kwargs: Any) -> None:
        """Name the endpoint: the registry builds its upload addresses from it."""
        request.headers["Host"] = self._outputs.endpoint


class _GivenCredentials:
    """In place of an auth backend of oras: the session has the credentials, nothing is to be looked up."""

    def load_configs(self, container: object, configs: list[str] | None = None) -> None:
        """Leave ~/.docker and its credential helpers alone."""


def _basic(username: str, password: str) -> HTTPBasicAuth:
    """As UTF-8: requests takes a str for latin-1, and its error would show the character that is not."""
    return HTTPBasicAuth(username.encode(), password.encode())


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
