"""The benchmark `access`: a registry without authentication, with htpasswd, and behind the proxy."""

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

from bench.access_servers import (
    ACCESS_CHOSEN,
    HTPASSWD_CHOSEN,
    READER,
    UNKNOWN,
    WAYS,
    WRITER,
    Server,
    Way,
    running_server,
)
from bench.registries import PROJECT
from bench.registry_client import Client, create_blob
from bench.wrong_logins import send_wrong_login
from dev.console import step

LAYERS, LAYER_SIZE = 10, 10_000
"""Layers of the pushed image, and bytes of each."""

PUSHES = 5
"""Pushes of such an image in a round. The median counts."""

READS = 200
"""Reads of a manifest over one connection in a round. The median counts."""

LARGE_LAYERS = 3
"""Pushes and pulls of a large layer in a round. The medians count."""

SLOW_PUSHES, SLOW_READS, SLOW_LARGE_LAYERS = 1, 20, 1
"""The same for a slow way."""

LARGE = 512 * 2**20
"""Bytes of the large layer."""

IN_MEMORY = Path("/dev/shm")
"""Folder of the images. It is in memory, so that no disk is measured."""

WRONG_LOGINS = 100
"""Wrong logins in a round whose processor time is measured."""

GUESSES = 10
"""The same for a chosen password. The proxy refuses more of them within ten seconds (registry/access/haproxy.py)."""

FLOOD_RATE = 50
"""Wrong logins a second of a flood."""

READER_RATE, READER_SECONDS = 200, 6
"""Reads a second of the client that suffers a flood, and the duration."""

WATCHED = (HTPASSWD_CHOSEN, ACCESS_CHOSEN)
"""Ways that get wrong logins: both have users with a generated and with a chosen password."""

TARGETS = (UNKNOWN, READER, WRITER)
"""Names of the wrong logins."""

Key = tuple[Way, str]
"""A way, and the name of a measure or of a flooded user. The user "" is no flood."""


@dataclass
class Figures:
    """Measured figures, with one value for each round.

    Attributes:
        values: Seconds and bytes by way and measure.
        reader: p50 and p99 in seconds of the client that reads, by way and flooded user.
        statuses: Number of the responses to wrong logins by status, of all rounds.
    """

    values: dict[Key, list[float]] = field(default_factory=dict)
    reader: dict[Key, list[tuple[float, float]]] = field(default_factory=dict)
    statuses: dict[Key, Counter[int]] = field(default_factory=dict)

    def add(self, way: Way, measure: str, value: float) -> None:
        """Add the value of a round."""
        self.values.setdefault((way, measure), []).append(value)


PUSH, READ, MEMORY = "push", "read", "memory"
PUSHED_TIME, PUSHED_CPU, PULLED_TIME, PULLED_CPU = "pushed time", "pushed cpu", "pulled time", "pulled cpu"


def measure_access(rounds: int) -> Figures:
    """Measure the ways in turn, after an unmeasured round."""
    figures = Figures()
    for number in range(rounds + 1):
        with (
            step(f"access, round {number} of {rounds}" if number else "access, unmeasured first round"),
            tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder,
        ):
            _measure_round(Path(folder), figures if number else Figures())
    return figures


def _measure_round(folder: Path, figures: Figures) -> None:
    """Measure all ways with new servers. In each part of the round the ways take turns."""
    with ExitStack() as stack:
        servers = [stack.enter_context(running_server(way, folder / str(at))) for at, way in enumerate(WAYS)]
        for measure in (_measure_pushes, _measure_reads, _measure_large_layers):
            measure(servers, figures)
        for server in servers:
            if server.way in WATCHED:
                _measure_wrong_logins(server, figures)
                _measure_floods(server, figures)


def _measure_pushes(servers: Sequence[Server], figures: Figures) -> None:
    seconds: dict[Way, list[float]] = {server.way: [] for server in servers}
    for number in range(PUSHES):
        for server in servers:
            if server.way.is_slow and number >= SLOW_PUSHES:
                continue
            layers = [create_blob(LAYER_SIZE) for _ in range(LAYERS)]
            client = server.client()
            seconds[server.way].append(_time(client.push_image, layers))
    for way, values in seconds.items():
        figures.add(way, PUSH, median(values))


def _measure_reads(servers: Sequence[Server], figures: Figures) -> None:
    for server in servers:
        client = server.client()
        client.log_in()
        with closing(client.connect()) as connection:
            client.read_manifest(connection)
            seconds = [
                _time(client.read_manifest, connection) for _ in range(SLOW_READS if server.way.is_slow else READS)
            ]
        figures.add(server.way, READ, median(seconds))


def _measure_large_layers(servers: Sequence[Server], figures: Figures) -> None:
    values: dict[Key, list[float]] = {}
    for number in range(LARGE_LAYERS):
        for server in servers:
            if number < SLOW_LARGE_LAYERS or not server.way.is_slow:
                for measure, value in _measure_large_layer(server):
                    values.setdefault((server.way, measure), []).append(value)
    for (way, measure), measured in values.items():
        figures.add(way, measure, median(measured))
    for server in servers:
        figures.add(server.way, MEMORY, server.memory())


def _measure_large_layer(server: Server) -> Iterator[tuple[str, float]]:
    """Push and pull a large layer. Yield times and processor times by measure."""
    blob = create_blob(LARGE)
    client = server.client()
    client.log_in()
    with closing(client.connect()) as connection:
        for action, time_of, cpu_of in (
            (client.push_blob, PUSHED_TIME, PUSHED_CPU),
            (client.pull_blob, PULLED_TIME, PULLED_CPU),
        ):
            before = server.processor_seconds()
            yield time_of, _time(action, connection, blob)
            yield cpu_of, server.processor_seconds() - before
    server.delete_blob(blob.digest)


def _measure_wrong_logins(server: Server, figures: Figures) -> None:
    """Measure the processor time of a wrong login. It includes that of its connection."""
    for user in TARGETS:
        count = GUESSES if user == WRITER else WRONG_LOGINS
        before = server.processor_seconds()
        for number in range(count):
            send_wrong_login(server.address, user, number)
        figures.add(server.way, user, (server.processor_seconds() - before) / count)


def _measure_floods(server: Server, figures: Figures) -> None:
    """Measure a client that reads, without a flood and under each flood."""
    client = server.client(READER)
    client.log_in()
    for user in ("", *TARGETS):
        key = (server.way, user)
        argv = [sys.executable, "-m", "bench.wrong_logins", server.address, user, str(FLOOD_RATE), str(READER_SECONDS)]
        flood = subprocess.Popen(argv, cwd=PROJECT, stdout=subprocess.PIPE, text=True) if user else None
        time.sleep(0.5)  # until the flood has begun
        figures.reader.setdefault(key, []).append(_read_steadily(client))
        if flood:
            counts = {int(status): count for status, count in json.loads(flood.communicate()[0]).items()}
            figures.statuses.setdefault(key, Counter()).update(counts)


def _read_steadily(client: Client) -> tuple[float, float]:
    """Read the manifest at a steady rate over one connection. Return p50 and p99 of the seconds of a read."""
    seconds = []
    with closing(client.connect()) as connection:
        client.read_manifest(connection)
        start = time.monotonic()
        for number in range(READER_RATE * READER_SECONDS):
            time.sleep(max(0, start + number / READER_RATE - time.monotonic()))
            seconds.append(_time(client.read_manifest, connection))
    return median(seconds), quantiles(seconds, n=100)[-1]


def _time(action: Callable[..., None], *arguments: object) -> float:
    """Return the seconds that the action takes."""
    start = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - start
