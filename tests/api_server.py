"""A registry that serves a storage in memory over HTTP, as CNCF Distribution answers (registry/handlers)."""

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from registry.maintenance.job.layout import DIGEST, LAYER, MANIFEST, TAG, Link, data_path
from tests.registry_model import MemoryStorage, RefusedError, Registry, digest_of, finish
from tests.serving import serving

LOGIN = "ci", "hunter2"


class ApiServer(ThreadingHTTPServer):
    """The server. `login` is basic, bearer or "" for none. `requests` are the methods and paths of all requests."""

    daemon_threads = True

    def __init__(self, storage: MemoryStorage, login: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.model = Registry(storage)
        self.login = login
        self.requests: list[str] = []
        self.failures: list[int] = []
        """Statuses of the next answers. Their requests have no effect."""
        self.strangers = threading.Barrier(1)
        """Barrier for requests without a login. It is passed by this many requests at once."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ApiServer

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing."""

    def do_HEAD(self) -> None:
        self._serve()

    do_GET = do_POST = do_PUT = do_HEAD

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        self.server.requests.append(f"{self.command} {parts.path}")
        if self.server.failures:
            return self._answer(self.server.failures.pop(0))
        if parts.path == "/token":
            return self._answer(200, json.dumps({"token": "the-token"}).encode())
        if challenge := self._challenge():
            self.server.strangers.wait(timeout=10)
            return self._answer(401, b"", {"WWW-Authenticate": challenge})
        if parts.path == "/v2/":
            return self._answer(200, b"{}")
        name, _, rest = parts.path.removeprefix("/v2/").rpartition("/blobs/uploads/")
        if name:
            return self._upload(name, rest, parse_qs(parts.query), body)
        for kind in ("manifests", "blobs"):
            name, _, reference = parts.path.removeprefix("/v2/").rpartition(f"/{kind}/")
            if name and self.command == "PUT":
                return self._put_manifest(name, reference, body)
            if name:
                return self._get(name, kind, reference)
        return self._answer(404)

    def _challenge(self) -> str:
        """Return the challenge if the request has no login that the server accepts, else ""."""
        expected = {"basic": f"Basic {b64encode(':'.join(LOGIN).encode()).decode()}", "bearer": "Bearer the-token"}
        if not self.server.login or self.headers.get("Authorization") == expected[self.server.login]:
            return ""
        return {"basic": 'Basic realm="test"', "bearer": f'Bearer realm="{self.server.url}/token",service="test"'}[
            self.server.login
        ]

    def _upload(self, name: str, upload: str, query: dict[str, list[str]], body: bytes) -> None:
        if self.command == "POST":
            location = f"{self.server.url}/v2/{name}/blobs/uploads/1?state=a"
            return self._answer(202, b"", {"Location": location})
        if digest_of(body) != query["digest"][0]:
            return self._answer(400)
        finish(self.server.model.push_blob(name, body))
        return self._answer(201)

    def _put_manifest(self, name: str, tag: str, body: bytes) -> None:
        try:
            finish(self.server.model.push_manifest(name, "" if DIGEST.fullmatch(tag) else tag, body))
        except RefusedError:
            return self._answer(400)
        return self._answer(201)

    def _get(self, name: str, kind: str, reference: str) -> None:
        files, digest = self.server.model.storage.files, reference
        if not DIGEST.fullmatch(reference):
            digest = files.get(Link(name, TAG, tag=reference).path, (b"", 0.0))[0].decode()
        link = Link(name, MANIFEST if kind == "manifests" else LAYER, digest)
        if link.path not in files or data_path(digest) not in files:
            return self._answer(404)
        return self._answer(200, files[data_path(digest)][0], {"Docker-Content-Digest": digest})

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def serve(storage: MemoryStorage, login: str = "") -> Iterator[ApiServer]:
    """Serve a storage until the block ends."""
    with serving(ApiServer(storage, login)) as server:
        yield server
