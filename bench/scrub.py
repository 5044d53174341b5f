"""The benchmark `scrub`: a client that reads while a scrub hashes all blobs."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.access_servers import DIRECT, Server, describe_servers, folder_in_memory, running_server
from bench.plot import plot_dots
from bench.reader import READER_RATE, READER_SECONDS, read_steadily
from bench.registries import PROJECT
from bench.registry_client import create_blob
from bench.tables import (
    Outcome,
    compute_ratios,
    format_goal,
    format_milliseconds,
    format_rows,
    format_seconds,
    format_spread,
)
from dev.console import step
from dev.errors import BenchmarkError

LAYERS, LAYER_SIZE = 32, 64 * 2**20
"""Number of stored layers, and bytes of one layer."""

READER_GOAL = 1.5
"""Highest ratio of the reader's p99 with a scrub to the p99 without one that meets the goal."""

GIGABYTE = 10**9

CPU_GOAL = GIGABYTE / 120e6
"""Highest processor time in seconds for a gigabyte that meets the goal of 120 MB a second and core."""

PAGE = """\
# A client that reads while a scrub runs

| other client | p50 | p99 | ratio of the p99 | goal |
|---|---|---|---|---|
{rows}

| scrub of {gigabytes:.1f} GB | goal |
|---|---|
| {cpu} of CPU for 1 GB | {cpu_goal} |

Median and range of {rounds} rounds, after an unmeasured round. Ratios compare the figures of a round. The registry, the
scrub and the client share the machine and its loopback address, and the {layers} layers are in memory, so that the
scrub is as fast as it can be. It lowers its own priority. The client reads a manifest {rate} times a second for
{seconds} seconds, and scrubs follow each other until it ends.

Measured on {machine}, {servers}.
"""


Reads = list[tuple[float, float]]
"""p50 and p99 in seconds of a read, with one value for each round."""


@dataclass
class Figures:
    """Measured figures, with one value for each round.

    Attributes:
        idle: Reads without a scrub.
        scrubbed: Reads during a scrub.
        cpu: Processor time in seconds that a scrub takes for a gigabyte.
    """

    idle: Reads = field(default_factory=list)
    scrubbed: Reads = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def benchmark(rounds: int, machine: str) -> Outcome:
    """Measure the client without a scrub and with one, in turn."""
    figures = Figures()
    with (
        folder_in_memory() as folder,
        running_server(DIRECT, folder / "registry") as server,
    ):
        server.client().push_image([create_blob(LAYER_SIZE) for _ in range(LAYERS)])
        for number in range(rounds + 1):
            with step(f"scrub, round {number} of {rounds}" if number else "scrub, unmeasured first round"):
                _measure_round(server, figures if number else Figures())
    return Outcome(render_page(figures, machine, describe_servers()), {"scrub.png": partial(plot, figures)})


def _measure_round(server: Server, figures: Figures) -> None:
    settings = server.folder / "scrub.json"
    settings.write_text(json.dumps({"storage": {"folder": str(server.folder / "images")}}))
    scrub = [sys.executable, "-m", "registry.maintenance.job", "scrub", "--all", "--settings", str(settings)]
    figures.cpu.append(_processor_seconds(scrub) / (LAYERS * LAYER_SIZE / GIGABYTE))
    figures.idle.append(read_steadily(server.client()))
    with _repeating(scrub):
        figures.scrubbed.append(read_steadily(server.client()))


def _processor_seconds(command: list[str]) -> float:
    """Run a command, and return the processor time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@contextmanager
def _repeating(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command again and again until the block ends. Raise `BenchmarkError` if it fails."""
    shell = ["sh", "-c", 'while "$@"; do :; done', "sh", *command]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(shell, cwd=PROJECT, stdout=quiet, stderr=quiet, start_new_session=True) as repeated:
        try:
            yield repeated
            if repeated.poll() is not None:
                raise BenchmarkError(
                    "A scrub has failed.", "Run `python -m registry.maintenance.job scrub` to see why."
                )
        finally:
            with suppress(ProcessLookupError):  # it has failed
                os.killpg(repeated.pid, signal.SIGKILL)


def render_page(figures: Figures, machine: str, servers: str) -> str:
    """Return the page in Markdown."""
    return PAGE.format(
        rows=format_rows(_row("no scrub", figures, figures.idle), _row("scrub", figures, figures.scrubbed)),
        gigabytes=LAYERS * LAYER_SIZE / GIGABYTE,
        cpu=format_seconds(figures.cpu),
        cpu_goal=format_goal(figures.cpu, CPU_GOAL, f"{CPU_GOAL:.1f} s, which is 120 MB/s a core"),
        rounds=len(figures.idle),
        layers=LAYERS,
        rate=READER_RATE,
        seconds=READER_SECONDS,
        machine=machine,
        servers=servers,
    )


def _row(title: str, figures: Figures, reads: Reads) -> tuple[str, ...]:
    middle, slow = ([read[at] for read in reads] for at in (0, 1))
    times = title, format_milliseconds(middle), format_milliseconds(slow)
    if reads is figures.idle:
        return *times, "", ""
    ratios = compute_ratios(slow, [read[1] for read in figures.idle])
    return *times, format_spread(ratios), format_goal(ratios, READER_GOAL)


def plot(figures: Figures, file: Path) -> None:
    """Plot the p99 of the reads."""
    rows = {
        f"p99 of a read, {title}": [1000 * read[1] for read in reads]
        for title, reads in {"no scrub": figures.idle, "scrub": figures.scrubbed}.items()
    }
    plot_dots(
        rows,
        {"p99 of a read, scrub"},
        "A client that reads while a scrub runs",
        file,
        unit="ms",
        format_values=format_spread,
    )
