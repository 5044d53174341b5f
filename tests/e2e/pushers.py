"""The program that pushes, pulls and checks images as Docker does. It runs on a host that reaches the registry.

It reads its job, with the credentials, as one line of JSON, and prints its results as one line of JSON. The job names
one of TASKS. The tasks `load` and `at once` end when the input ends.

A push asks the registry for each layer, uploads the missing layers, and then sends the manifest. The registry refuses
the manifest if a collection has deleted a layer meanwhile. The push then starts again.

If the job expects outages, a failed request counts as refused. Wrong bytes always count as a failure.
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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

IMAGE_MANIFEST = "application/vnd.oci.image.manifest.v1+json"

CONNECTION_CLOSED = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError)
"""Exceptions that a client gets if the server has closed the connection. The request is sent again."""

MOST_SECONDS = 120
"""Seconds to wait after the end of the input until enough images are accepted."""

ATTEMPTS = 5
"""Number of attempts of a push or a request. Docker makes as many."""

POOL_SIZE = 12
"""Number of layers that many images share. Often no image needs them, so they are deleted and uploaded again."""

SHARED_LAYER_BYTES = 20_000
CONFIG_BYTES = 100


@dataclass(frozen=True)
class SlowBody:
    """A body that is sent in parts with pauses, so that it takes `seconds`."""

    content: bytes
    seconds: float
    parts: int = 100

    def __iter__(self) -> Iterator[bytes]:
        size = -(-len(self.content) // self.parts)
        for start in range(0, len(self.content), size):
            time.sleep(self.seconds / self.parts)
            yield self.content[start : start + size]


Body = bytes | SlowBody | None
"""Body of a request."""


class Problem(NamedTuple):
    """The problem of a pull.

    Attributes:
        text: Description of the image and the problem.
        is_damage: Whether the registry sent wrong bytes.
    """

    text: str
    is_damage: bool


class Client:
    """A client of the job's registry, with one connection at a time."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self.expects_outages = bool(job.get("outages"))
        self._tls = ssl.create_default_context(cadata=job["ca"]) if job["ca"] else None
        self._login = f"Basic {b64encode(job['login'].encode()).decode()}"
        self._connection: http.client.HTTPConnection | None = None

    def request(self, method: str, path: str, body: Body = None, content_type: str = "") -> tuple[int, str, bytes]:
        """Send a request. Return the status, the location and the body of the response."""
        for attempt in range(ATTEMPTS):
            try:
                return self._send(method, path, body, content_type)
            except CONNECTION_CLOSED:
                self._connection = None
                time.sleep(0.1 * attempt)
        raise ConnectionError(f"{method} {path}: every connection was closed")

    def disconnect(self) -> None:
        """Close the connection, so that the next request opens another one."""
        self._connection = None

    def _send(self, method: str, path: str, body: Body, content_type: str) -> tuple[int, str, bytes]:
        if self._connection is None:
            tcp = socket.create_connection(tuple(self._job["address"]), 30)
            self._connection = http.client.HTTPConnection(self._job["host"])
            self._connection.sock = self._tls.wrap_socket(tcp, server_hostname=self._job["host"]) if self._tls else tcp
        headers = {
            "Authorization": self._login,
            "Accept": IMAGE_MANIFEST,
            "Content-Type": content_type or "application/octet-stream",
        }
        if isinstance(body, SlowBody):
            headers["Content-Length"] = str(len(body.content))
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        content = response.read()
        if response.will_close:
            self._connection = None
        return response.status, response.headers.get("Location", ""), content


@dataclass
class Results:
    """The results of all clients.

    Attributes:
        accepted: Repository, tag and digest of each pushed image, in the order of the pushes.
        refused: Number of refusals by kind of request and status.
        failures: Descriptions of failed pulls, of failed pushes, and of errors that ended a client.
        pulls: Number of pulls.
        sent: Number of uploaded layers.
        seconds: Duration of each accepted push.
    """

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
    """Push an image, at most ATTEMPTS times. The first layer is its config."""
    for _ in range(ATTEMPTS):
        problem = _push_once(client, results, repository, tag, layers)
        if not problem:
            return
        results.refused[problem] += 1
        time.sleep(0.05)
    if not client.expects_outages:
        results.failures.append(f"{repository}:{tag} could not be pushed")


def _push_once(client: Client, results: Results, repository: str, tag: str, layers: list[bytes]) -> str:
    """Return the kind and the status of the refused request, or ""."""
    start = time.monotonic()
    for layer in layers:
        digest = digest_of(layer)
        if client.request("HEAD", f"/v2/{repository}/blobs/{digest}")[0] == 200:
            continue
        status, location, _ = client.request("POST", f"/v2/{repository}/blobs/uploads/")
        if status == 202:
            path = "/" + location.split("/", 3)[3]  # without scheme and host
            status, *_ = client.request("PUT", f"{path}&digest={digest}", layer)
        if status != 201:
            return f"blob {status}"
        results.sent += 1
    # The registry accepts any media type of a layer.
    descriptors = [{"mediaType": "x/y", "size": len(layer), "digest": digest_of(layer)} for layer in layers]
    fields = {"schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "config": descriptors[0], "layers": descriptors[1:]}
    manifest = json.dumps(fields).encode()
    status, *_ = client.request("PUT", f"/v2/{repository}/manifests/{tag}", manifest, IMAGE_MANIFEST)
    if status != 201:
        return f"manifest {status}"
    results.accepted.append((repository, tag, digest_of(manifest)))
    results.seconds.append(time.monotonic() - start)
    return ""


def pull(client: Client, repository: str, tag: str, digest: str = "") -> Problem | None:
    """Pull an image and compare all digests. Return the problem, if any."""
    status, _, manifest = client.request("GET", f"/v2/{repository}/manifests/{tag}")
    if status != 200:
        return Problem(f"{repository}:{tag}: manifest {status}", is_damage=False)
    if digest and digest_of(manifest) != digest:
        return Problem(f"{repository}:{tag}: another manifest", is_damage=True)
    fields = json.loads(manifest)
    for part in [fields["config"], *fields["layers"]]:
        status, _, content = client.request("GET", f"/v2/{repository}/blobs/{part['digest']}")
        if status != 200 or digest_of(content) != part["digest"]:
            return Problem(f"{repository}:{tag}: layer {part['digest'][:19]} {status}", is_damage=status == 200)
    return None


@contextmanager
def tolerated_outage(client: Client, results: Results) -> Iterator[None]:
    """Count an error of the connection as a refusal if the job expects outages."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        if not client.expects_outages:
            raise
        client.disconnect()
        results.refused[type(error).__name__] += 1


def repeat_pushes(job: dict[str, Any], number: int, results: Results, stop: threading.Event) -> None:
    """Push images until `stop` is set: some stay, some lose their tag to a later image, and retention deletes some."""
    client, rng = Client(job), random.Random(number)
    count = 0
    while not stop.wait(job["pause"]):
        count += 1
        repository = job.get("folder", "load") + rng.choice([f"/p{number}", "/shared"])
        kind = rng.choices(["keep", "moving", "pr"], [4, 3, 3])[0]
        tag = f"moving-{number}-{rng.randrange(3)}" if kind == "moving" else f"{kind}-{number}-{count}"
        common = [layer_of(f"pool {rng.randrange(POOL_SIZE)}", SHARED_LAYER_BYTES) for _ in range(2)]
        own = layer_of(f"{job['seed']} {number} {count}", job["size"])
        # An image that stays uses few layers of the pool, so that these become garbage again.
        layers = [layer_of("config", CONFIG_BYTES), own, *(common if kind != "keep" or rng.random() < 0.1 else [])]
        with tolerated_outage(client, results):
            push(client, results, repository, tag, list({digest_of(layer): layer for layer in layers}.values()))


def repeat_pulls(job: dict[str, Any], number: int, results: Results, stop: threading.Event) -> None:
    """Pull images that stay until `stop` is set, most often one of the 20 newest ones."""
    client, rng = Client(job), random.Random(number)
    while not stop.wait(job["pause"]):
        kept = [image for image in results.accepted[-400:] if image[1].startswith("keep")]
        if kept:
            with tolerated_outage(client, results):
                problem = pull(client, *rng.choice(kept[-20:] if rng.random() < 0.7 else kept))
                results.pulls += 1
                if problem and client.expects_outages and not problem.is_damage:  # the registry sent an error
                    results.refused["pull"] += 1
                elif problem:
                    results.failures.append(problem.text)


def push_at_once(job: dict[str, Any]) -> Results:
    """Push images with a large layer, all at the same time. Return after the input has ended."""
    results, base = Results(), random.Random(job["seed"]).randbytes(job["size"])

    def push_one(job: dict[str, Any], number: int, results: Results, _: threading.Event) -> None:
        push(Client(job), results, f"burst/p{number}", "1", [b"%016d" % number + base])

    _in_threads([(push_one, job["at_once"])], job, results)
    return results


def push_slowly(job: dict[str, Any]) -> Results:
    """Upload one layer once, within `job["seconds"]`. Count it as sent, or its status or error as refused."""
    client, results = Client(job), Results()
    layer = layer_of(job["seed"], job["size"])
    _, location, _ = client.request("POST", "/v2/slow/blobs/uploads/")
    path = f"/{location.split('/', 3)[3]}&digest={digest_of(layer)}"
    try:
        status, *_ = client._send("PUT", path, SlowBody(layer, job["seconds"]), "")
    except (OSError, http.client.HTTPException) as error:
        results.refused[type(error).__name__] += 1
    else:
        results.sent += status == 201
        results.refused[str(status)] += status != 201
    return results


def run_load(job: dict[str, Any]) -> Results:
    """Push and pull until the input ends, and until at least `job["least"]` images are accepted."""
    results = Results()
    _in_threads([(repeat_pushes, job["pushers"]), (repeat_pulls, job["pullers"])], job, results)
    return results


def _in_threads(work: list[tuple[Any, int]], job: dict[str, Any], results: Results) -> None:
    """Run each function in a number of threads until the input ends and enough images are accepted."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=_record_error, args=(function, job, number, results, stop))
        for function, count in work
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    deadline = time.monotonic() + MOST_SECONDS
    while len(results.accepted) < job.get("least", 0) and not results.failures and time.monotonic() < deadline:
        time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join()


def _record_error(function: Any, job: dict[str, Any], number: int, results: Results, stop: threading.Event) -> None:
    """Run a thread's function, and record its error as a failure, because a thread would only print it."""
    try:
        function(job, number, results, stop)
    except Exception as error:
        results.failures.append(f"{function.__name__} ended: {error!r}")


TASKS = {"once": lambda _: Results(), "load": run_load, "at once": push_at_once, "slow": push_slowly}
"""Function by task of the job. A job of any task may name images to push and to check at its end."""


def main() -> None:
    job = json.loads(sys.stdin.readline())
    results = TASKS[job["task"]](job)
    client = Client(job)
    for repository, tag, *seeds in job.get("push", []):
        push(client, results, repository, tag, [layer_of(seed, job["size"]) for seed in seeds])
    for repository, tag, digest in job.get("check", []):
        results.pulls += 1
        if problem := pull(client, repository, tag, digest):
            results.failures.append(problem.text)
    print(json.dumps(vars(results)))


if __name__ == "__main__":
    main()
