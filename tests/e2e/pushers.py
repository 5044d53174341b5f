"""Push, pull and check images like Docker does, as a program that runs on a host that reaches the registry.

The program reads its job, with the credentials, as one line of JSON. `load` works until the input ends. The result is
one line of JSON. A push asks for each layer, sends the missing ones, and then sends the manifest. If the registry
refuses it, because a layer went meanwhile, the push begins again.
"""

import hashlib
import http.client
import json
import random
import socket
import ssl
import sys
import threading
import time
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

IMAGE_MANIFEST = "application/vnd.oci.image.manifest.v1+json"

CLOSED = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError)
"""Exceptions of a connection that the server has closed. The request is sent again."""

ATTEMPTS = 5
"""Attempts of a push, as Docker makes them."""

POOL = 12
"""Layers that come again and again. Most of the time no image needs them, so they are collected and sent again."""


class Client:
    """A client with one connection."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self._tls = ssl.create_default_context(cadata=job["ca"])
        self._login = f"Basic {b64encode(job['login'].encode()).decode()}"
        self._connection: http.client.HTTPConnection | None = None

    def request(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> tuple[int, str, bytes]:
        """Send a request. Return the status, the location and the body of the response."""
        for attempt in range(ATTEMPTS):
            try:
                return self._send(method, path, body, kind)
            except CLOSED:
                self._connection = None
                time.sleep(0.1 * attempt)
        raise ConnectionError(f"{method} {path}: every connection was closed")

    def _send(self, method: str, path: str, body: bytes | None, kind: str) -> tuple[int, str, bytes]:
        if self._connection is None:
            tcp = socket.create_connection(tuple(self._job["address"]), 30)
            self._connection = http.client.HTTPConnection(self._job["host"])
            self._connection.sock = self._tls.wrap_socket(tcp, server_hostname=self._job["host"])
        headers = {
            "Authorization": self._login,
            "Accept": IMAGE_MANIFEST,
            "Content-Type": kind or "application/octet-stream",
        }
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        content = response.read()
        if response.will_close:
            self._connection = None
        return response.status, response.headers.get("Location", ""), content


@dataclass
class Results:
    """The accepted images as [repository, tag, digest], refused requests by status, and failed pulls."""

    accepted: list[tuple[str, str, str]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    pulls: int = 0
    sent: int = 0
    seconds: list[float] = field(default_factory=list)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def layer_of(seed: str, size: int) -> bytes:
    """Return the bytes of a layer, which are always the same for a seed."""
    return random.Random(seed).randbytes(size)


def push(client: Client, results: Results, repository: str, tag: str, layers: list[bytes]) -> None:
    """Push an image. The first layer is its config."""
    for _ in range(ATTEMPTS):
        problem = _push_once(client, results, repository, tag, layers)
        if not problem:
            return
        results.refused[problem] += 1
        time.sleep(0.05)
    results.failures.append(f"{repository}:{tag} could not be pushed")


def _push_once(client: Client, results: Results, repository: str, tag: str, layers: list[bytes]) -> str:
    """Return the status of a refusal, or ""."""
    start = time.monotonic()
    for layer in layers:
        digest = digest_of(layer)
        if client.request("HEAD", f"/v2/{repository}/blobs/{digest}")[0] == 200:
            continue
        status, location, _ = client.request("POST", f"/v2/{repository}/blobs/uploads/")
        if status == 202:
            path = "/" + location.split("/", 3)[3]
            status, *_ = client.request("PUT", f"{path}&digest={digest}", layer)
        if status != 201:
            return f"blob {status}"
        results.sent += 1
    described = [{"mediaType": "x/y", "size": len(layer), "digest": digest_of(layer)} for layer in layers]
    fields = {"schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "config": described[0], "layers": described[1:]}
    manifest = json.dumps(fields).encode()
    status, *_ = client.request("PUT", f"/v2/{repository}/manifests/{tag}", manifest, IMAGE_MANIFEST)
    if status != 201:
        return f"manifest {status}"
    results.accepted.append((repository, tag, digest_of(manifest)))
    results.seconds.append(time.monotonic() - start)
    return ""


def pull(client: Client, repository: str, tag: str, digest: str = "") -> str:
    """Pull an image and compare all digests. Return the problem, or ""."""
    status, _, manifest = client.request("GET", f"/v2/{repository}/manifests/{tag}")
    if status != 200:
        return f"{repository}:{tag}: manifest {status}"
    if digest and digest_of(manifest) != digest:
        return f"{repository}:{tag}: another manifest"
    fields = json.loads(manifest)
    for part in [fields["config"], *fields["layers"]]:
        status, _, content = client.request("GET", f"/v2/{repository}/blobs/{part['digest']}")
        if status != 200 or digest_of(content) != part["digest"]:
            return f"{repository}:{tag}: layer {part['digest'][:19]} {status}"
    return ""


def repeat_pushes(job: dict[str, Any], number: int, results: Results, stop: threading.Event) -> None:
    """Push images that stay, that lose their tag to the next one, and that retention removes."""
    client, order = Client(job), random.Random(number)
    count = 0
    while not stop.wait(job["pause"]):
        count += 1
        repository = order.choice([f"load/p{number}", "load/shared"])
        kind = order.choices(["keep", "moving", "pr"], [4, 3, 3])[0]
        tag = f"moving-{number}-{order.randrange(3)}" if kind == "moving" else f"{kind}-{number}-{count}"
        common = [layer_of(f"pool {order.randrange(POOL)}", 20_000) for _ in range(2)]
        own = layer_of(f"{job['seed']} {number} {count}", job["size"])
        # An image that stays uses few layers of the pool, so that these become garbage again.
        layers = [layer_of("config", 100), own, *(common if kind != "keep" or order.random() < 0.1 else [])]
        push(client, results, repository, tag, list({digest_of(layer): layer for layer in layers}.values()))


def repeat_pulls(job: dict[str, Any], number: int, results: Results, stop: threading.Event) -> None:
    """Pull images that stay, the newest ones most of the time."""
    client, order = Client(job), random.Random(number)
    while not stop.wait(job["pause"]):
        kept = [image for image in results.accepted[-400:] if image[1].startswith("keep")]
        if kept:
            problem = pull(client, *order.choice(kept[-20:] if order.random() < 0.7 else kept))
            results.pulls += 1
            if problem:
                results.failures.append(problem)


def run_load(job: dict[str, Any]) -> Results:
    """Push and pull until the input ends."""
    results, stop = Results(), threading.Event()
    work = [(repeat_pushes, job["pushers"]), (repeat_pulls, job["pullers"])]
    threads = [
        threading.Thread(target=_guarded, args=(repeat, job, number, results, stop))
        for repeat, count in work
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    return results


def _guarded(repeat: Any, job: dict[str, Any], number: int, results: Results, stop: threading.Event) -> None:
    try:
        repeat(job, number, results, stop)
    except Exception as error:
        results.failures.append(f"{repeat.__name__} ended: {error!r}")


def main() -> None:
    job = json.loads(sys.stdin.readline())
    results = Results()
    if job["task"] == "load":
        results = run_load(job)
    client = Client(job)
    for repository, tag, *seeds in job.get("push", []):
        push(client, results, repository, tag, [layer_of(seed, job["size"]) for seed in seeds])
    for repository, tag, digest in job.get("check", []):
        results.pulls += 1
        if problem := pull(client, repository, tag, digest):
            results.failures.append(problem)
    print(json.dumps(vars(results)))


if __name__ == "__main__":
    main()
