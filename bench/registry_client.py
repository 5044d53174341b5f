"""A client that pushes and pulls as Docker does: it asks how to log in, and pushes five layers at a time."""

import hashlib
import http.client
import json
import os
import ssl
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import NamedTuple

from dev.errors import BenchmarkError
from dev.loopback import split_address

REPOSITORY = "team/web"

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"

PARALLEL_UPLOADS = 5
"""Layers that Docker pushes at the same time (`max-concurrent-uploads`)."""

CHUNK = 32 * 1024
"""Bytes of a chunk of an upload. Docker copies with a buffer of this size."""

READ_BUFFER = 256 * 1024
"""Bytes that the client reads at a time."""


class Blob(NamedTuple):
    """A layer or a config: its digest, and its content in chunks of at most `CHUNK` bytes."""

    digest: str
    chunks: Sequence[bytes]

    @property
    def size(self) -> int:
        return sum(map(len, self.chunks))


def create_blob(size: int) -> Blob:
    """Return a blob of random bytes, so that no registry has it yet. More than `CHUNK` bytes are whole chunks."""
    chunk = os.urandom(min(size, CHUNK))
    chunks = [chunk] * (size // len(chunk))
    digest = hashlib.sha256()
    for each in chunks:
        digest.update(each)
    return Blob(f"sha256:{digest.hexdigest()}", chunks)


def basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


@dataclass
class Client:
    """A client of the registry at `address`. `login` is the header of a login, or "". `log_in` sets `header`."""

    address: str
    login: str = ""
    header: Mapping[str, str] = field(default_factory=dict)

    def connect(self) -> http.client.HTTPSConnection:
        """Return a new connection. The client does not check the certificate. Servers do not notice the difference."""
        return http.client.HTTPSConnection(
            *split_address(self.address), timeout=120, context=ssl._create_unverified_context()
        )

    def log_in(self) -> None:
        """Ask the registry how to log in, and fetch a token if it requires one."""
        with closing(self.connect()) as connection:
            ping = self.send(connection, "GET", "/v2/", (200, 401))
            challenge = ping.getheader("WWW-Authenticate", "").lower()
            self.header = {"Authorization": self.login} if challenge else {}
            if challenge.startswith("bearer"):
                scope = f"/token?service=registry&scope=repository:{REPOSITORY}:pull,push"
                connection.request("GET", scope, headers=self.header)
                token = json.loads(connection.getresponse().read())["token"]
                self.header = {"Authorization": f"Bearer {token}"}

    def send(
        self,
        connection: http.client.HTTPSConnection,
        method: str,
        target: str,
        expected: Sequence[int],
        body: bytes | Iterable[bytes] = b"",
    ) -> http.client.HTTPResponse:
        """Send a request, and read the response. A body of several parts is sent in chunks.

        Raise `BenchmarkError` if the status is not one of `expected`.
        """
        headers = {"Accept": MANIFEST_TYPE, **self.header}
        chunked = not isinstance(body, bytes)
        if method == "PUT" and body:
            headers["Content-Type"] = MANIFEST_TYPE
        if chunked:
            headers["Transfer-Encoding"] = "chunked"
        connection.request(method, target, body, headers, encode_chunked=chunked)
        response = connection.getresponse()
        content = response.read()
        if response.status not in expected:
            raise BenchmarkError(
                f"The registry answers {method} {target} with {response.status}.",
                "The figures of this run are invalid. Fix the cause and run the benchmark again.",
                details=content.decode(errors="replace"),
            )
        return response

    def push_image(self, layers: Sequence[Blob]) -> None:
        """Log in and push an image with the tag `latest`."""
        self.log_in()
        config = create_blob(1000)
        with ExitStack() as stack:
            connections: SimpleQueue[http.client.HTTPSConnection] = SimpleQueue()
            for _ in range(PARALLEL_UPLOADS):
                connections.put(stack.enter_context(closing(self.connect())))

            def push(blob: Blob) -> None:
                connection = connections.get()
                self.push_blob(connection, blob)
                connections.put(connection)

            with ThreadPoolExecutor(PARALLEL_UPLOADS) as threads:
                list(threads.map(push, [*layers, config]))
            manifest = _manifest(config, layers)
            self.send(connections.get(), "PUT", f"/v2/{REPOSITORY}/manifests/latest", (201,), manifest)

    def push_blob(self, connection: http.client.HTTPSConnection, blob: Blob) -> None:
        """Push a blob: look for it, start an upload, send the content, finish the upload, and look again."""
        target = f"/v2/{REPOSITORY}/blobs/{blob.digest}"
        self.send(connection, "HEAD", target, (404,))
        upload = _location(self.send(connection, "POST", f"/v2/{REPOSITORY}/blobs/uploads/", (202,)))
        upload = _location(self.send(connection, "PATCH", upload, (202,), iter(blob.chunks)))
        self.send(connection, "PUT", f"{upload}&digest={blob.digest}", (201,))
        self.send(connection, "HEAD", target, (200,))

    def pull_blob(
        self, connection: http.client.HTTPSConnection, blob: Blob, bytes_per_second: float | None = None
    ) -> None:
        """Pull a blob, and drop its content. Read no faster than `bytes_per_second`, if it is not None."""
        connection.request("GET", f"/v2/{REPOSITORY}/blobs/{blob.digest}", headers=self.header)
        response = connection.getresponse()
        buffer = memoryview(bytearray(READ_BUFFER))
        reads = iter(lambda: response.readinto(buffer), 0)
        received = sum(reads if bytes_per_second is None else _paced(reads, bytes_per_second))
        assert (response.status, received) == (200, blob.size)

    def read_manifest(self, connection: http.client.HTTPSConnection) -> None:
        """Read the manifest of the pushed image."""
        self.send(connection, "GET", f"/v2/{REPOSITORY}/manifests/latest", (200,))


def _location(response: http.client.HTTPResponse) -> str:
    """Return the target of the next request of an upload."""
    return "/v2/" + response.getheader("Location", "").partition("/v2/")[2]


def _manifest(config: Blob, layers: Sequence[Blob]) -> bytes:
    descriptors = [
        {"mediaType": f"application/vnd.oci.image.{kind}", "digest": blob.digest, "size": blob.size}
        for kind, blob in _typed(config, layers)
    ]
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": descriptors[0], "layers": descriptors[1:]}
    return json.dumps(manifest).encode()


def _typed(config: Blob, layers: Sequence[Blob]) -> Iterator[tuple[str, Blob]]:
    yield "config.v1+json", config
    yield from (("layer.v1.tar", layer) for layer in layers)


def _paced(reads: Iterable[int], bytes_per_second: float) -> Iterator[int]:
    """Yield the byte counts of `reads`, and sleep after each, so that all take as long as at this rate."""
    start, received = time.perf_counter(), 0
    for count in reads:
        received += count
        time.sleep(max(0, start + received / bytes_per_second - time.perf_counter()))
        yield count
