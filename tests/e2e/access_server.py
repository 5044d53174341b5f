"""A registry behind its proxy, as two processes on the loopback address. No cluster is needed.

The component writes the configurations of both. Requests are sent over plain sockets, because HTTP libraries would
normalize their paths.
"""

import hashlib
import http.client
import json
import socket
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from requests.structures import CaseInsensitiveDict

from dev import loopback, packages
from dev.environment import PROJECT
from dev.loopback import free_port, split_address
from registry.access import WATCH_SCRIPT
from registry.access.haproxy import Endpoints, KeyPair, Logging, files
from registry.distribution import render
from registry.settings import AccessSettings
from registry.users import hash_passwords
from registry.validation.access_rules import Access
from tests.issuing import CertificateSpec, issue, server_spec

CA = issue(CertificateSpec())
"""CA of the server certificates."""

SALT = "abcdefghijklmnopqrstu"
"""Salt of every bcrypt hash, instead of a random one for each login."""

TOKEN_KEY = "a key"
"""Key that signs the tokens of users with a chosen password."""

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"

DEFAULT_HEADERS = {"Host": "docker-registry:5000", "Accept": f"{MANIFEST_TYPE}, */*"}
"""Headers of every request that does not set them."""

REGISTRY_HEADERS = {"X-Answered-By": ["the registry"]}
"""Header that the registry adds to its responses. The proxy's own responses lack it."""


def access_settings(**inputs: Any) -> AccessSettings:
    """Return settings with these inputs. An input that is not set is empty: robots, anonymous pulls, pull Secrets."""
    empty: dict[str, Any] = {
        "anonymous_pull": [],
        "robots": {},
        "pull_secrets": [],
        "pull_secret_repositories": [],
        "password_generations": {},
    }
    return AccessSettings(**{**empty, **inputs})


class Response(NamedTuple):
    """A response of the proxy."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_from_registry(self) -> bool:
        """Whether the registry has sent the response, so the proxy has passed on the request."""
        return all(name in self.headers for name in REGISTRY_HEADERS)


@dataclass
class AccessServer:
    """A running registry and its proxy. `send` sends a request to the proxy, `ask_registry` one to the registry.

    Attributes:
        endpoints: Addresses and folder of both.
        passwords: Password of each login.
        tls: TLS settings of `send`, which does not verify the server certificate.
        processes: The registry, then the script that runs the proxy.
    """

    endpoints: Endpoints
    passwords: Mapping[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext = field(repr=False, default_factory=ssl._create_unverified_context)
    processes: list[psutil.Process] = field(default_factory=list, repr=False)
    _connection: socket.socket | None = field(default=None, repr=False)

    @property
    def folder(self) -> Path:
        """The folder with the files of the proxy."""
        return Path(self.endpoints.folder)

    @property
    def log(self) -> Path:
        """The log of both processes."""
        return self.folder / loopback.LOG

    def configure(self, access: Access, chosen_passwords: Mapping[str, str]) -> None:
        """Write the configuration of the proxy, with these rules and passwords and a new certificate."""
        self.passwords = {login: f"{login}'s" for login in access.logins} | dict(chosen_passwords)
        hashes = hash_passwords(self.passwords, chosen_passwords, dict.fromkeys(access.logins, SALT))
        certificate = issue(server_spec("docker-registry", "127.0.0.1"), CA)
        pair = KeyPair(certificate.pem, certificate.key_pem)
        logging = Logging("info", "json")
        contents = files(self.endpoints, logging, pair, self.passwords, hashes, TOKEN_KEY, access)
        for name, content in contents.items():
            (self.folder / name).write_text(content)

    def served_certificate(self) -> bytes:
        """Return the server certificate of a new connection, DER."""
        with self._connect() as connection:
            return connection.getpeercert(binary_form=True) or b""

    def _connect(self) -> ssl.SSLSocket:
        tcp_socket = socket.create_connection(split_address(self.endpoints.address), timeout=30)
        return self.tls.wrap_socket(tcp_socket)

    def send(
        self,
        method: str,
        target: str,
        user: str = "",
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        halfway: Callable[[], None] = lambda: None,
    ) -> Response:
        """Send a request with the credentials of `user`, or without credentials if `user` is "".

        The target is sent unchanged. `halfway` is called after half of the body is sent.
        """
        credentials = {"Authorization": basic_auth(user, self.passwords[user])} if user else {}
        if self._connection is None:
            self._connection = self._connect()
        try:
            all_headers = {**credentials, **(headers or {})}
            response, is_open = _exchange(self._connection, method, target, body, all_headers, halfway)
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if not is_open:
            self.close()
        return response

    def close(self) -> None:
        """Close the connection to the proxy."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def proxy_seconds(self) -> float:
        """Return the processor seconds that the proxy and its script have taken."""
        return loopback.processor_seconds(self.processes[1:])

    def ask_registry(
        self, method: str, target: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Response:
        """Send a request to the registry's socket."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.endpoints.registry)
            return _exchange(connection, method, target, body, headers or {})[0]

    def push(self, repository: str, tag: str, content: str) -> tuple[str, str]:
        """Push a manifest whose config is `content`. Return the digests of both."""
        config = self._upload(repository, content.encode())
        descriptor = {"mediaType": CONFIG_TYPE, **config}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": descriptor, "layers": []}
        body = json.dumps(manifest | {"annotations": {"content": content}}).encode()
        target = f"/v2/{repository}/manifests/{tag}"
        response = self.ask_registry("PUT", target, body=body, headers={"Content-Type": MANIFEST_TYPE})
        assert response.status == 201, response
        return digest_of(body), config["digest"]

    def _upload(self, repository: str, content: bytes) -> dict[str, Any]:
        upload = self.ask_registry("POST", f"/v2/{repository}/blobs/uploads/")
        location = upload.headers["Location"].partition("/v2/")[2]
        digest = digest_of(content)
        response = self.ask_registry("PUT", f"/v2/{location}&digest={digest}", body=content)
        assert response.status == 201, response
        return {"digest": digest, "size": len(content)}


def write_layout(folder: Path, tag: str) -> None:
    """Write an image without layers as an OCI layout."""
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def write(media_type: str, content: Any) -> dict[str, Any]:
        data = json.dumps(content).encode()
        digest = digest_of(data)
        (blobs / digest.removeprefix("sha256:")).write_bytes(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": write(CONFIG_TYPE, config), "layers": []}
    tagged_manifest = {**write(MANIFEST_TYPE, manifest), "annotations": {"org.opencontainers.image.ref.name": tag}}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [tagged_manifest]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def basic_auth(user: str, password: str) -> str:
    """Return an Authorization header with user and password."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@contextmanager
def serve(
    folder: Path, access: Access, chosen_passwords: Mapping[str, str] | None = None, *, min_free: int | None = None
) -> Iterator[AccessServer]:
    """Run the registry and the proxy with these rules until the block ends.

    Args:
        folder: Folder for all files. The registry stores its content in its subfolder `images`.
        access: The rules.
        chosen_passwords: Chosen passwords by user. The password of any other LOGIN is "LOGIN's".
        min_free: Percent of free space in `images` below which the proxy refuses pushes.
    """
    folder.mkdir(exist_ok=True)
    images = str(folder / "images")
    state = str(folder / "storage.map") if min_free is not None else ""
    variables = {"STORAGE_STATE": state, "STORAGE": images, "MIN_FREE": str(min_free)} if state else {}
    endpoints = Endpoints(f"127.0.0.1:{free_port()}", str(folder / "registry.sock"), str(folder), state)
    server = AccessServer(endpoints)
    server.configure(access, chosen_passwords or {})
    storage = {"filesystem": {"rootdirectory": images}, "delete": {"enabled": True}}
    http_section = {"net": "unix", "addr": endpoints.registry, "secret": "fixed", "headers": REGISTRY_HEADERS}
    registry = {"version": "0.1", "log": {"level": "error"}, "storage": storage, "http": http_section}
    (folder / loopback.CONFIGURATION).write_text(render(registry))
    with loopback.run_servers(folder, PROJECT / "registry/access" / WATCH_SCRIPT, variables) as processes:
        server.processes += processes
        with closing(server):
            loopback.wait_until(lambda: server.send("GET", "/").status == 200, server.log)
            yield server


@contextmanager
def forward_to_registry(server: AccessServer) -> Iterator[str]:
    """Forward connections to the registry's socket, without the rules and without TLS. Yield the address to connect to.

    HAProxy forwards TCP here, because the conformance suite cannot connect to a Unix socket.
    """
    address = f"127.0.0.1:{free_port()}"
    (server.folder / "forward.cfg").write_text(
        f"defaults\n mode tcp\n timeout connect 5s\n timeout client 1m\n timeout server 1m\n"
        f"listen forward\n bind {address}\n server registry unix@{server.endpoints.registry}\n"
    )
    haproxy = packages.provide_haproxy()
    command = [str(haproxy.find("haproxy")), "-db", "-f", str(server.folder / "forward.cfg")]
    with server.log.open("a") as log, subprocess.Popen(command, env=haproxy.env, stderr=log) as process:
        try:
            loopback.wait_until(lambda: _accepts_connections(address), server.log)
            yield address
        finally:
            process.terminate()


def _accepts_connections(address: str) -> bool:
    """Return True, or raise `OSError` if the connection fails."""
    with socket.create_connection(split_address(address), timeout=5):
        return True


def _exchange(
    connection: socket.socket,
    method: str,
    target: str,
    body: bytes,
    headers: Mapping[str, str],
    halfway: Callable[[], None] = lambda: None,
) -> tuple[Response, bool]:
    """Send a request. Return the response, and whether the connection stays open."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    lines += [f"{name}: {value}" for name, value in DEFAULT_HEADERS.items() if name not in headers]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
    half = len(body) // 2
    connection.sendall(head.encode("latin-1") + body[:half])
    halfway()
    connection.sendall(body[half:])
    parser = http.client.HTTPResponse(connection, method=method)
    parser.begin()
    response = Response(parser.status, CaseInsensitiveDict(parser.getheaders()), parser.read())
    return response, not parser.will_close
