"""Run Azurite, Microsoft's emulator of Azure Blob Storage, outside the cluster with a CA and an account of its own.

It is installed from npm into its own folder of the cache, because it has 190 MB. It is a daemon on the laptop, like the
S3 server.
"""

import base64
import hashlib
import hmac
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qsl

from dev import cache
from dev.cluster import Cluster, process
from dev.cluster.authority import write_private_file
from dev.cluster.plan import LAPTOP
from dev.cluster.process import Daemon
from dev.console import step
from tests.e2e.s3 import WITH_KEYS_SCRIPT, curl, route_to_pods, write_certificate

VERSION = "3.35.0"
"""Version of Azurite, the last one for Node.js 20 and older."""

NAME = "azurite"
PORT = 7071
HOME = "/var/lib/azurite"
"""Folder of the server on the laptop, with its key, its certificate and its blobs."""

API_VERSION = "2021-12-02"
"""Version of the API of the requests that create and list the container."""


def new_key() -> str:
    """Return an account key: 64 random bytes in base64, as those of Azure."""
    return base64.b64encode(secrets.token_bytes(64)).decode()


@dataclass(frozen=True)
class Azurite:
    """The settings that a client of the server needs."""

    cluster: Cluster
    ca_pem: str
    endpoint: str = f"https://{LAPTOP.address}:{PORT}"
    account: str = "team"
    container: str = "images"
    key: str = field(default_factory=new_key, repr=False)

    def blobs(self) -> str:
        """Return the list of the container's blobs, XML."""
        return self._request("GET", "comp=list&restype=container")

    def create_container(self) -> None:
        """Create the container, which must not exist."""
        self._request("PUT", "restype=container")

    def responds(self) -> bool:
        """Return whether the server answers. It refuses a request without a signature."""
        return self._curl(f"{self.endpoint}/{self.account}?comp=list").returncode == 0

    def _request(self, method: str, query: str) -> str:
        """Send a request for the container with a signature of the account key (Shared Key of Azure)."""
        signed = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": API_VERSION}
        headers = "".join(f"{name}:{value}\n" for name, value in signed.items())
        parameters = "".join(f"\n{name}:{value}" for name, value in sorted(parse_qsl(query)))
        # The URL has the account in its path, and so it is twice in the name of the resource.
        resource = f"/{self.account}/{self.account}/{self.container}{parameters}"
        text = "".join((method, "\n" * 12, headers, resource))
        digest = hmac.digest(base64.b64decode(self.key), text.encode(), hashlib.sha256)
        signed["Authorization"] = f"SharedKey {self.account}:{base64.b64encode(digest).decode()}"
        options = [option for name, value in signed.items() for option in ("--header", f"{name}: {value}")]
        url = f"{self.endpoint}/{self.account}/{self.container}?{query}"
        done = self._curl("--fail-with-body", "--request", method, "--header", "Content-Length:", *options, url)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def _curl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return curl(self.cluster, "--cacert", f"{HOME}/ca.crt", *arguments)


@contextmanager
def serve(cluster: Cluster) -> Iterator[Azurite]:
    """Run a server with an empty container until the block ends, then delete its blobs. Hosts and Pods reach it."""
    home = cluster.path(LAPTOP.name, HOME)
    home.mkdir()
    azurite = Azurite(cluster, write_certificate(home, (LAPTOP.address,)))
    route_to_pods(cluster)
    start(azurite)
    try:
        azurite.create_container()
        yield azurite
    finally:
        stop(cluster)
        shutil.rmtree(home)


def start(azurite: Azurite) -> None:
    """Start the server with the key of `azurite`."""
    cluster = azurite.cluster
    keys = f"AZURITE_ACCOUNTS='{azurite.account}:{azurite.key}'\n"
    write_private_file(cluster.path(LAPTOP.name, HOME) / "keys", keys.encode())
    folder = cache.ensure_folder(cache.root() / f"{NAME}-{VERSION}", _install)
    program = folder / "node_modules/azurite/dist/src/blob/main.js"
    command = (
        *("sh", "-c", WITH_KEYS_SCRIPT, "sh", f"{HOME}/keys", "node", str(program), "--silent", "--disableTelemetry"),
        *("--blobHost", LAPTOP.address, "--blobPort", str(PORT), "--location", f"{HOME}/blobs"),
        *("--cert", f"{HOME}/server.crt", "--key", f"{HOME}/server.key"),
        "--skipApiVersionCheck",  # the client of the registry is newer than this version
    )
    server = Daemon(LAPTOP, NAME, command)
    process.start(cluster.plan, server, {"PATH": os.environ["PATH"]})
    process.wait_until_ready(cluster.plan, server, azurite.responds)


def stop(cluster: Cluster) -> None:
    """Stop the server. Its blobs stay."""
    process.stop(cluster.plan, LAPTOP, NAME)


def _install(folder: Path) -> None:
    with step(f"Azurite {VERSION} from npm"):
        npm = ("npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts")
        subprocess.run([*npm, f"azurite@{VERSION}"], check=True, capture_output=True)
