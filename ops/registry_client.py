"""A registry client: `oras` with the stack's CA and password, an optional address, and a timeout.

Four defaults of oras are switched off: it retries for two minutes, reads credentials from ~/.docker, logs the
registry's answers, and skips blobs that the registry already has. Proxies and `.netrc` are ignored too: the commands
check the registry, not the settings of the user who runs them.
"""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import requests
from oras.container import Container
from oras.logger import setup_logger
from oras.provider import Registry
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from .stack import Outputs
from .tls import TIMEOUT

MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)

PAGE_SIZE = 1000
"""Names in one answer of the catalog. This is the registry's maximum."""


class CatalogDenied(Exception):
    """The access rules do not let the user list the catalog. Checks that need it are not made."""


class RegistryClient(Registry):
    """A client of the stack's registry with the stack's login. Every request has a timeout."""

    def __init__(self, outputs: Outputs, ca: Path, address: tuple[str, int] | None) -> None:
        super().__init__(hostname=outputs.endpoint)
        setup_logger(quiet=True)
        self.auth = _SessionCredentials()
        self.session.trust_env = False
        self.session.verify = str(ca)
        self.session.auth = _basic_auth(outputs.username, outputs.password)
        self.session.mount("https://", OtherServers(ca))
        own = PinnedAddress(outputs, address) if address else HTTPAdapter()
        self.session.mount(f"https://{outputs.endpoint}/", own)

    def do_request(self, url: str, method: str = "GET", **options: Any) -> requests.Response:
        """Send one request without retries. Raise for 401, 403, 429 and 5xx. Return any other response."""
        response: requests.Response = self.session.request(method, url, timeout=TIMEOUT, **options)
        if response.status_code in (401, 403, 429) or response.status_code >= 500:
            response.raise_for_status()
        return response

    def send(self, method: str, url: str) -> requests.Response:
        """Send one request without retries, and return the response whatever its status is."""
        return self.session.request(method, url, timeout=TIMEOUT)

    def read_catalog(self, url: str) -> requests.Response:
        """Return the page of the catalog at `url`. Raise `CatalogDenied` if the answer is 403."""
        response: requests.Response = self.session.get(url, timeout=TIMEOUT)
        if response.status_code == 403:
            raise CatalogDenied
        response.raise_for_status()
        return response

    def list_repositories(self) -> list[str]:
        """Return all repositories of the catalog. Raise `CatalogDenied` if the access rules hide it."""
        names: list[str] = []
        page = f"https://{self.hostname}/v2/_catalog?n={PAGE_SIZE}"
        while page:
            response = self.read_catalog(page)
            names += response.json()["repositories"] or []
            page = _next_page(response, page)
        return names

    def list_tags(self, repository: str) -> list[str]:
        """Return all tags of a repository. The list is empty if the repository was deleted meanwhile."""
        names: list[str] = []
        page = f"https://{self.hostname}/v2/{repository}/tags/list?n={PAGE_SIZE}"
        while page:
            response = self.do_request(page)
            names += (response.json().get("tags") or []) if response.status_code == 200 else []
            page = _next_page(response, page)
        return names

    def read_manifest(self, repository: str, reference: str) -> bytes | None:
        """Return the content of a manifest by its tag or digest, or None if the repository lacks it."""
        url = f"https://{self.hostname}/v2/{repository}/manifests/{reference}"
        response = self.do_request(url, headers={"Accept": ", ".join(MANIFEST_TYPES)})
        return response.content if response.status_code == 200 else None

    def blob_exists(self, layer: dict[str, Any], container: Container) -> bool:
        """Return False, so that every push writes and a full disk is noticed."""
        return False

    def status_as(self, username: str, password: str) -> int:
        """Return the status of GET /v2/ with these credentials, or with none if `username` is "". Raise for 5xx."""
        credentials = _basic_auth(username, password) if username else _no_credentials
        response = self.session.get(f"https://{self.hostname}/v2/", timeout=TIMEOUT, auth=credentials)
        if response.status_code >= 500:
            response.raise_for_status()
        return response.status_code


@contextmanager
def open_client(outputs: Outputs, address: tuple[str, int] | None) -> Iterator[RegistryClient]:
    """Yield a client, and close it after the block."""
    with tempfile.TemporaryDirectory() as folder:
        ca = Path(folder) / "ca.pem"
        ca.write_text(outputs.ca_pem)
        client = RegistryClient(outputs, ca, address)
        with closing(client.session):
            yield client


class OtherServers(HTTPAdapter):
    """Adapter for a bucket that the registry sends clients to (`s3_redirect`). It trusts public CAs too."""

    def __init__(self, ca: Path) -> None:
        self._bundle = ca.with_name("other-servers.pem")
        self._bundle.write_text(f"{Path(DEFAULT_CA_BUNDLE_PATH).read_text()}\n{ca.read_text()}")
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send a request with the larger trust."""
        request.headers.pop("Host", None)  # the registry's, which requests keeps in a redirect, breaks the signature
        return super().send(request, *args, **{**options, "verify": str(self._bundle)})


class PinnedAddress(HTTPAdapter):
    """Adapter that connects to `address` whatever the name resolves to. SNI, TLS checks and Host use the endpoint."""

    def __init__(self, outputs: Outputs, address: tuple[str, int]) -> None:
        self._outputs, self._address = outputs, address
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Use the endpoint's name for TLS."""
        host = self._outputs.host
        super().init_poolmanager(*args, server_hostname=host, assert_hostname=host, **kwargs)

    def build_connection_pool_key_attributes(self, *args: Any, **kwargs: Any) -> Any:
        """Use the address for the connection."""
        target, tls = super().build_connection_pool_key_attributes(*args, **kwargs)
        target["host"], target["port"] = self._address
        return target, tls

    def add_headers(self, request: requests.PreparedRequest, **kwargs: Any) -> None:
        """Send the endpoint as Host, because the registry builds upload URLs from it."""
        request.headers["Host"] = self._outputs.endpoint


class _SessionCredentials:
    """Replacement for the auth backend of oras: the session has the credentials."""

    def load_configs(self, container: object, configs: list[str] | None = None) -> None:
        """Do not read ~/.docker or run its credential helpers."""


def _next_page(response: requests.Response, url: str) -> str:
    """Return the URL of the page after `response`, or "" if it is the last one. The header may have a path only."""
    return urljoin(url, response.links["next"]["url"]) if "next" in response.links else ""


def _basic_auth(username: str, password: str) -> HTTPBasicAuth:
    """Return credentials in UTF-8. requests uses latin-1 for text, and its error would show a part of the password."""
    return HTTPBasicAuth(username.encode(), password.encode())


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
