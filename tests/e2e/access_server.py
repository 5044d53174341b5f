"""A registry behind its proxy, as two processes on the loopback address. No cluster is needed.

The configurations are those of the component. Requests are sent as they are, because HTTP clients would normalize them.
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
from registry.settings import AccessSettings
from registry.users import hash_passwords
from registry.validation.access_rules import Access
from registry.workload.configuration import render
from tests.issuing import CertificateSpec, issue, server_spec

CA = issue(CertificateSpec())

SALT = "abcdefghijklmnopqrstu"

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"

DEFAULT_HEADERS = {"Host": "docker-registry:5000", "Accept": f"{MANIFEST_TYPE}, */*"}

REGISTRY_HEADERS = {"X-Answered-By": ["the registry"]}
"""Header that the registry adds to its responses. The proxy's own responses lack it."""


def access_settings(**inputs: Any) -> AccessSettings:
    """Return settings with these inputs, without robots and other logins."""
    none: dict[str, Any] = {"anonymous_pull": [], "robots": {}, "pull_secrets": [], "pull_secret_repositories": []}
    return AccessSettings(**{**none, "password_generations": {}, **inputs})


class Response(NamedTuple):
    """A response of the proxy."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_from_registry(self) -> bool:
        """Whether the proxy has passed on the request."""
        return all(name in self.headers for name in REGISTRY_HEADERS)


@dataclass
class AccessServer:
    """The two processes. `send` sends a request to the proxy, and `ask_registry` directly to the registry."""

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

    def configure(self, access: Access, chosen: Mapping[str, str]) -> None:
        """Write the configuration with these rules, chosen passwords and a new certificate."""
        self.passwords = {login: f"{login}'s" for login in access.logins} | dict(chosen)
        hashes = hash_passwords(self.passwords, chosen, dict.fromkeys(access.logins, SALT))
        certificate = issue(server_spec("docker-registry", "127.0.0.1"), CA)
        pair = KeyPair(certificate.pem, certificate.key_pem)
        logging = Logging("info", "json")
        for name, content in files(self.endpoints, logging, pair, self.passwords, hashes, "a key", access).items():
            (self.folder / name).write_text(content)

    def served_certificate(self) -> bytes:
        """Return the server certificate of a new connection, DER."""
        plain = socket.create_connection(split_address(self.endpoints.address), timeout=30)
        with self.tls.wrap_socket(plain) as connection:
            return connection.getpeercert(binary_form=True) or b""

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
        """Send a request with the credentials of `user`, or without any if it is "". A target is sent as it is.

        `halfway` is called when half of the body is sent.
        """
        login = {"Authorization": basic(user, self.passwords[user])} if user else {}
        if self._connection is None:
            plain = socket.create_connection(split_address(self.endpoints.address), timeout=30)
            self._connection = self.tls.wrap_socket(plain)
        try:
            more = {**login, **(headers or {})}
            response, is_open = _exchange(self._connection, method, target, body, more, halfway)
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
        """Return the processor time that the proxy has taken."""
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
        created = self.ask_registry("PUT", target, body=body, headers={"Content-Type": MANIFEST_TYPE})
        assert created.status == 201, created
        return digest_of(body), config["digest"]

    def _upload(self, repository: str, content: bytes) -> dict[str, Any]:
        started = self.ask_registry("POST", f"/v2/{repository}/blobs/uploads/")
        location = started.headers["Location"].partition("/v2/")[2]
        digest = digest_of(content)
        done = self.ask_registry("PUT", f"/v2/{location}&digest={digest}", body=content)
        assert done.status == 201, done
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
    named = {**write(MANIFEST_TYPE, manifest), "annotations": {"org.opencontainers.image.ref.name": tag}}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@contextmanager
def serve(
    folder: Path, access: Access, chosen: Mapping[str, str] | None = None, *, min_free: int | None = None
) -> Iterator[AccessServer]:
    """Run the registry and the proxy with these rules until the block ends.

    `chosen` has the chosen passwords by user. The password of any other LOGIN is "LOGIN's". `min_free` is the percent
    of the folder `images` under which pushes are refused.
    """
    folder.mkdir(exist_ok=True)
    state = str(folder / "storage.map") if min_free is not None else ""
    variables = {"STORAGE_STATE": state, "STORAGE": str(folder / "images"), "MIN_FREE": str(min_free)} if state else {}
    endpoints = Endpoints(f"127.0.0.1:{free_port()}", str(folder / "registry.sock"), str(folder), state)
    server = AccessServer(endpoints)
    server.configure(access, chosen or {})
    storage = {"filesystem": {"rootdirectory": str(folder / "images")}, "delete": {"enabled": True}}
    http_section = {"net": "unix", "addr": endpoints.registry, "secret": "fixed", "headers": REGISTRY_HEADERS}
    registry = {"version": "0.1", "log": {"level": "error"}, "storage": storage, "http": http_section}
    (folder / loopback.CONFIGURATION).write_text(render(registry))
    with loopback.run_servers(folder, PROJECT / "registry/access" / WATCH_SCRIPT, variables) as processes:
        server.processes += processes
        with closing(server):
            loopback.wait_until(lambda: server.send("GET", "/").status == 200, server.log)
            yield server


@contextmanager
def forward(server: AccessServer) -> Iterator[str]:
    """Yield an address at which the registry answers without the proxy and without TLS."""
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
    """Return the response, and whether the connection stays open."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    lines += [f"{name}: {value}" for name, value in DEFAULT_HEADERS.items() if name not in headers]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
    half = len(body) // 2
    connection.sendall(head.encode("latin-1") + body[:half])
    halfway()
    connection.sendall(body[half:])
    answer = http.client.HTTPResponse(connection, method=method)
    answer.begin()
    response = Response(answer.status, CaseInsensitiveDict(answer.getheaders()), answer.read())
    return response, not answer.will_close
