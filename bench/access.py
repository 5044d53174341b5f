"""The benchmark `access`: a registry without authentication, with htpasswd, and behind the proxy."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.access_servers import (
    ACCESS_CHOSEN,
    HTPASSWD_CHOSEN,
    READER,
    SETUPS,
    UNKNOWN,
    WRITER,
    Server,
    Setup,
    folder_in_memory,
    running_server,
)
from bench.reader import READER_SECONDS, read_steadily
from bench.registries import PROJECT
from bench.registry_client import create_blob
from bench.wrong_logins import send_wrong_login
from dev.console import step

LAYERS, LAYER_SIZE = 10, 10_000
"""Number of layers in the pushed image, and bytes of one layer."""

PUSHES = 5
"""Pushes of such an image in a round. The median counts."""

READS = 200
"""Reads of a manifest over one connection in a round. The median counts."""

LARGE_LAYERS = 3
"""Pushes and pulls of a large layer in a round. The medians count."""

SLOW_PUSHES, SLOW_READS, SLOW_LARGE_LAYERS = 1, 20, 1
"""Pushes, reads and large layers in a round of a slow setup."""

LARGE = 512 * 2**20
"""Bytes of the large layer."""

LINK = 125_000_000
"""Bytes a second of a link of 1 Gbit/s."""

WRONG_LOGINS = 100
"""Wrong logins of each user in a round whose processor time is measured."""

CHOSEN_WRONG_LOGINS = 10
"""The same for a user with a chosen password.

The proxy refuses more of them within ten seconds without a look at the password (registry/access/haproxy.py)."""

FLOOD_RATE = 50
"""Wrong logins a second of a flood."""

FLOODED = (HTPASSWD_CHOSEN, ACCESS_CHOSEN)
"""Setups that get wrong logins. Both have users with a generated and with a chosen password."""

TARGETS = (UNKNOWN, READER, WRITER)
"""User names of the wrong logins."""

Key = tuple[Setup, str]
"""Setup, and the name of a measure or of the user whose logins are wrong. The user "" stands for no flood."""


@dataclass
class Figures:
    """Measured figures, with one value for each round.

    Attributes:
        values: Seconds or bytes by setup and measure. The measure of a wrong login is the name of its user.
        reader: p50 and p99 in seconds of the client that reads, by setup and user of the flood.
        statuses: Number of the responses to a flood by status, of all rounds.
    """

    values: dict[Key, list[float]] = field(default_factory=dict)
    reader: dict[Key, list[tuple[float, float]]] = field(default_factory=dict)
    statuses: dict[Key, Counter[int]] = field(default_factory=dict)

    def add(self, setup: Setup, measure: str, value: float) -> None:
        """Add the value of a round."""
        self.values.setdefault((setup, measure), []).append(value)


PUSH, READ, MEMORY = "push", "read", "memory"
PUSHED_TIME, PUSHED_CPU, PULLED_TIME, PULLED_CPU = "pushed time", "pushed cpu", "pulled time", "pulled cpu"
LINKED_TIME = "pulled time over a link"
"""Names of the measures. The last five are those of a large layer."""


def measure_access(rounds: int) -> Figures:
    """Return the figures of `rounds` rounds, after an unmeasured round. The setups take turns in each round."""
    figures = Figures()
    for number in range(rounds + 1):
        with (
            step(f"access, round {number} of {rounds}" if number else "access, unmeasured first round"),
            folder_in_memory() as folder,
        ):
            _measure_round(folder, figures if number else Figures())
    return figures


def _measure_round(folder: Path, figures: Figures) -> None:
    """Measure all setups with new servers. Each measurement covers all setups before the next one starts."""
    with ExitStack() as stack:
        servers = [stack.enter_context(running_server(setup, folder / str(at))) for at, setup in enumerate(SETUPS)]
        for measure in (_measure_pushes, _measure_reads, _measure_large_layers):
            measure(servers, figures)
        for server in servers:
            if server.setup in FLOODED:
                _measure_wrong_logins(server, figures)
                _measure_floods(server, figures)


def _measure_pushes(servers: Sequence[Server], figures: Figures) -> None:
    seconds: dict[Setup, list[float]] = {server.setup: [] for server in servers}
    for number in range(PUSHES):
        for server in servers:
            if server.setup.is_slow and number >= SLOW_PUSHES:
                continue
            layers = [create_blob(LAYER_SIZE) for _ in range(LAYERS)]
            client = server.client()
            seconds[server.setup].append(_time(client.push_image, layers))
    for setup, values in seconds.items():
        figures.add(setup, PUSH, median(values))


def _measure_reads(servers: Sequence[Server], figures: Figures) -> None:
    for server in servers:
        client = server.client()
        client.log_in()
        with closing(client.connect()) as connection:
            client.read_manifest(connection)
            seconds = [
                _time(client.read_manifest, connection) for _ in range(SLOW_READS if server.setup.is_slow else READS)
            ]
        figures.add(server.setup, READ, median(seconds))


def _measure_large_layers(servers: Sequence[Server], figures: Figures) -> None:
    values: dict[Key, list[float]] = {}
    for number in range(LARGE_LAYERS):
        for server in servers:
            if number < SLOW_LARGE_LAYERS or not server.setup.is_slow:
                for measure, value in _measure_large_layer(server, is_linked=not number):
                    values.setdefault((server.setup, measure), []).append(value)
    for (setup, measure), measured in values.items():
        figures.add(setup, measure, median(measured))
    for server in servers:
        figures.add(server.setup, MEMORY, server.memory())


def _measure_large_layer(server: Server, *, is_linked: bool) -> Iterator[tuple[str, float]]:
    """Push and pull a large layer. Yield times and processor times by measure.

    With `is_linked`, pull it a second time, by a client that reads no faster than a link.
    """
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
        if is_linked:
            yield LINKED_TIME, _time(client.pull_blob, connection, blob, LINK)
    server.delete_blob(blob.digest)


def _measure_wrong_logins(server: Server, figures: Figures) -> None:
    """Measure the processor time of a wrong login, including its connection."""
    for user in TARGETS:
        count = CHOSEN_WRONG_LOGINS if user == WRITER else WRONG_LOGINS
        before = server.processor_seconds()
        for number in range(count):
            send_wrong_login(server.address, user, number)
        figures.add(server.setup, user, (server.processor_seconds() - before) / count)


def _measure_floods(server: Server, figures: Figures) -> None:
    """Measure a client that reads, without a flood and under each flood."""
    client = server.client(READER)
    client.log_in()
    for user in ("", *TARGETS):
        key = (server.setup, user)
        argv = [sys.executable, "-m", "bench.wrong_logins", server.address, user, str(FLOOD_RATE), str(READER_SECONDS)]
        flood = subprocess.Popen(argv, cwd=PROJECT, stdout=subprocess.PIPE, text=True) if user else None
        time.sleep(0.5)  # until the flood has begun
        figures.reader.setdefault(key, []).append(read_steadily(client))
        if flood:
            counts = {int(status): count for status, count in json.loads(flood.communicate()[0]).items()}
            figures.statuses.setdefault(key, Counter()).update(counts)


def _time(action: Callable[..., None], *arguments: object) -> float:
    """Return the seconds that the action takes."""
    start = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - start
