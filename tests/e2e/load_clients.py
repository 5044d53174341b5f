"""The program that sends requests to a registry from several clients. `load.py` runs it on the laptop.

It reads its job, with the credentials, as one line of JSON, and prints its results as JSON when its input ends. A
server may close an open connection before it sends a response. The client then sends a GET once more over a new
connection, which RFC 9112 (9.3.1) allows. Every other error counts as a failure.
"""

import hashlib
import http.client
import json
import socket
import ssl
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

CONNECTION_CLOSED = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError)
"""Exceptions that a client gets if the server has closed the connection."""

CONFIG = b"{}"
OCTET_STREAM = "application/octet-stream"
IMAGE_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class Results:
    """The results of all clients of one kind: counts, errors, fingerprints of certificates, and the longest gap."""

    requests: int = 0
    failures: list[str] = field(default_factory=list)
    reopened: int = 0
    """Number of requests that were repeated over a new connection."""
    pushes: int = 0
    certificates: list[str] = field(default_factory=list)
    longest_gap: float = 0.0
    """Most seconds between the starts of two consecutive successful requests of one client."""


class Client:
    """A client of the job's registry, with one connection at a time."""

    def __init__(self, job: dict[str, Any], results: Results) -> None:
        self._job, self._results = job, results
        self._tls = ssl.create_default_context(cadata=job["ca"])
        self._login = f"Basic {b64encode(job['login'].encode()).decode()}"
        self._connection: http.client.HTTPConnection | None = None
        self._last_success = time.monotonic()

    def request(
        self, method: str, path: str, expected_status: int, body: bytes | None = None, content_type: str = ""
    ) -> str:
        """Send a request, and return the location in the response. Record every error, and raise it again."""
        start = time.monotonic()
        try:
            status, location = self._send_with_retry(method, path, body, content_type)
            if status != expected_status:
                raise ConnectionError(f"status {status}")
        except (OSError, http.client.HTTPException) as failure:
            self.close()
            self._results.failures.append(f"{method} {path}: {failure!r}")
            raise
        self._results.requests += 1
        self._results.longest_gap = max(self._results.longest_gap, start - self._last_success)
        self._last_success = start
        return location

    def count_push(self) -> None:
        """Count a pushed image, and close the connection."""
        self._results.pushes += 1
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _send_with_retry(self, method: str, path: str, body: bytes | None, content_type: str) -> tuple[int, str]:
        was_open = self._connection is not None
        try:
            return self._send(method, path, body, content_type)
        except CONNECTION_CLOSED:
            if not was_open or method != "GET":
                raise
            self.close()
            self._results.reopened += 1
            return self._send(method, path, body, content_type)

    def _send(self, method: str, path: str, body: bytes | None, content_type: str) -> tuple[int, str]:
        connection = self._connection = self._connection or self._connect()
        connection.request(
            method, path, body, {"Authorization": self._login, "Content-Type": content_type or OCTET_STREAM}
        )
        response = connection.getresponse()
        response.read()
        if response.will_close:
            self.close()
        return response.status, response.headers.get("Location", "")

    def _connect(self) -> http.client.HTTPConnection:
        host, timeout = self._job["host"], self._job["timeout"]
        tcp_socket = socket.create_connection(tuple(self._job["address"]), timeout)
        tls_socket = self._tls.wrap_socket(tcp_socket, server_hostname=host)
        fingerprint = hashlib.sha256(tls_socket.getpeercert(binary_form=True) or b"").hexdigest()
        if fingerprint not in self._results.certificates:
            self._results.certificates.append(fingerprint)
        connection = http.client.HTTPConnection(host)
        connection.sock = tls_socket
        return connection


def read_blob(client: Client, job: dict[str, Any]) -> None:
    """Read the blob over a connection that stays open."""
    client.request("GET", job["path"], 200)


def read_blob_reconnecting(client: Client, job: dict[str, Any]) -> None:
    """Read the blob over a new connection."""
    client.request("GET", job["path"], 200)
    client.close()


def push_image(client: Client, job: dict[str, Any]) -> None:
    """Push a small unique image over a new connection: a layer, a config and a manifest."""
    layer = time.monotonic_ns().to_bytes(8, "big")
    parts = {f"sha256:{hashlib.sha256(content).hexdigest()}": content for content in (layer, CONFIG)}
    for digest, content in parts.items():
        location = client.request("POST", "/v2/pushed/image/blobs/uploads/", 202)
        path = "/" + location.split("/", 3)[3]
        client.request("PUT", f"{path}&digest={digest}", 201, content)
    descriptors = [
        {"mediaType": OCTET_STREAM, "size": len(content), "digest": digest} for digest, content in parts.items()
    ]
    manifest = {"schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "config": descriptors[1], "layers": descriptors[:1]}
    client.request("PUT", "/v2/pushed/image/manifests/latest", 201, json.dumps(manifest).encode(), IMAGE_MANIFEST)
    client.count_push()


ACTIONS: dict[str, Callable[[Client, dict[str, Any]], None]] = {
    "persistent": read_blob,
    "reconnecting": read_blob_reconnecting,
    "pushing": push_image,
}
"""Function that clients repeat, by their kind."""


def main() -> None:
    """Run the clients of the job until the input ends, and print their results."""
    job = json.loads(sys.stdin.readline())
    stop = threading.Event()
    results = {kind: Results() for kind in job["clients"]}
    threads = []
    for kind, number in job["clients"].items():
        for _ in range(number):
            threads.append(threading.Thread(target=repeat, args=(kind, job, results[kind], stop)))
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps({kind: asdict(kind_results) for kind, kind_results in results.items()}))


def repeat(kind: str, job: dict[str, Any], results: Results, stop: threading.Event) -> None:
    """Repeat the action until `stop` is set, and once more after that, to record the last certificate."""
    client, is_last = Client(job, results), False
    while not is_last:
        is_last = stop.wait(job["pause"])
        with suppress(OSError, http.client.HTTPException):
            ACTIONS[kind](client, job)
    client.close()


if __name__ == "__main__":
    main()
