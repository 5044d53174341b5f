"""Clients of a registry that ask one request after the other, run as a program where the registry can be reached.

What to do comes in as JSON, the credentials with it, and what came of it goes out as JSON when the input ends. A
connection that is used again may have been closed meanwhile, before a byte of an answer: a GET then goes over a new
one, once, as every client that keeps connections has to do it (RFC 9112, 9.3.1). Everything else counts as failed.
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

STALE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError)
"""What is raised where the other end has closed a connection."""

CONFIG = b"{}"
OCTETS = "application/octet-stream"
IMAGE = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class Seen:
    """What one kind of clients saw: answers, what failed, connections opened anew, certificates, the longest gap."""

    requests: int = 0
    failed: list[str] = field(default_factory=list)
    reopened: int = 0
    pushes: int = 0
    leaves: list[str] = field(default_factory=list)
    gap: float = 0.0
    """Seconds between the beginnings of two requests that succeeded one after the other."""


class Client:
    """One connection at a time to the registry of `asked`."""

    def __init__(self, asked: dict[str, Any], seen: Seen) -> None:
        self._asked, self._seen = asked, seen
        self._tls = ssl.create_default_context(cadata=asked["ca"])
        self._login = f"Basic {b64encode(asked['login'].encode()).decode()}"
        self._open: http.client.HTTPConnection | None = None
        self._succeeded = time.monotonic()

    def ask(self, method: str, path: str, wanted: int, body: bytes | None = None, kind: str = "") -> str:
        """A request; the location that the answer names. Whatever goes wrong is noted, and raised again."""
        begun = time.monotonic()
        try:
            status, location = self._again(method, path, body, kind)
            if status != wanted:
                raise ConnectionError(f"status {status}")
        except (OSError, http.client.HTTPException) as failure:
            self.close()
            self._seen.failed.append(f"{method} {path}: {failure!r}")
            raise
        self._seen.requests += 1
        self._seen.gap = max(self._seen.gap, begun - self._succeeded)
        self._succeeded = begun
        return location

    def pushed(self) -> None:
        """A whole image went through."""
        self._seen.pushes += 1
        self.close()

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open = None

    def _again(self, method: str, path: str, body: bytes | None, kind: str) -> tuple[int, str]:
        is_used = self._open is not None
        try:
            return self._once(method, path, body, kind)
        except STALE:
            if not is_used or method != "GET":
                raise
            self.close()
            self._seen.reopened += 1
            return self._once(method, path, body, kind)

    def _once(self, method: str, path: str, body: bytes | None, kind: str) -> tuple[int, str]:
        connection = self._open = self._open or self._connect()
        connection.request(method, path, body, {"Authorization": self._login, "Content-Type": kind or OCTETS})
        answer = connection.getresponse()
        answer.read()
        if answer.will_close:
            self.close()
        return answer.status, answer.headers.get("Location", "")

    def _connect(self) -> http.client.HTTPConnection:
        host, patience = self._asked["host"], self._asked["patience"]
        raw = socket.create_connection(tuple(self._asked["at"]), patience)
        shown = self._tls.wrap_socket(raw, server_hostname=host)
        leaf = hashlib.sha256(shown.getpeercert(binary_form=True) or b"").hexdigest()
        if leaf not in self._seen.leaves:
            self._seen.leaves.append(leaf)
        connection = http.client.HTTPConnection(host)
        connection.sock = shown
        return connection


def read(client: Client, asked: dict[str, Any]) -> None:
    """The blob, over a connection that stays open."""
    client.ask("GET", asked["path"], 200)


def read_anew(client: Client, asked: dict[str, Any]) -> None:
    """The blob, over a connection of its own."""
    client.ask("GET", asked["path"], 200)
    client.close()


def push(client: Client, asked: dict[str, Any]) -> None:
    """A small image of its own, over a connection of its own: a layer, a config and a manifest."""
    layer = time.monotonic_ns().to_bytes(8, "big")
    parts = {f"sha256:{hashlib.sha256(each).hexdigest()}": each for each in (layer, CONFIG)}
    for digest, content in parts.items():
        begun = client.ask("POST", "/v2/pushed/image/blobs/uploads/", 202)
        path = "/" + begun.split("/", 3)[3]
        client.ask("PUT", f"{path}&digest={digest}", 201, content)
    described = [{"mediaType": OCTETS, "size": len(each), "digest": digest} for digest, each in parts.items()]
    manifest = {"schemaVersion": 2, "mediaType": IMAGE, "config": described[1], "layers": described[:1]}
    client.ask("PUT", "/v2/pushed/image/manifests/latest", 201, json.dumps(manifest).encode(), IMAGE)
    client.pushed()


WORK: dict[str, Callable[[Client, dict[str, Any]], None]] = {"kept": read, "fresh": read_anew, "pushing": push}


def main() -> None:
    asked = json.loads(sys.stdin.readline())
    over = threading.Event()
    seen = {kind: Seen() for kind in asked["clients"]}
    threads = []
    for kind, number in asked["clients"].items():
        for _ in range(number):
            threads.append(threading.Thread(target=repeat, args=(kind, asked, seen[kind], over)))
    for thread in threads:
        thread.start()
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
    print(json.dumps({kind: asdict(each) for kind, each in seen.items()}))


def repeat(kind: str, asked: dict[str, Any], seen: Seen, over: threading.Event) -> None:
    """The same work until it is over, and once more then, for what is served in the end; what failed is noted."""
    client, is_last = Client(asked, seen), False
    while not is_last:
        is_last = over.wait(asked["pause"])
        with suppress(OSError, http.client.HTTPException):
            WORK[kind](client, asked)
    client.close()


if __name__ == "__main__":
    main()
