"""From a ready cluster to the first authenticated push: the three ways in turn, so that a slow minute hits them all."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.lab import Lab
from bench.ways import EMPTY, UP, WAYS
from dev.console import step


@dataclass(frozen=True)
class Times:
    """Seconds, one of each a run: the n-th of every list were measured within the same minute or two."""

    pushed: dict[str, list[float]] = field(default_factory=dict)
    """Until the first push was through, by the way's title."""
    deployed: dict[str, list[float]] = field(default_factory=dict)
    """Until the way itself had nothing more to do."""
    beside: dict[str, list[float]] = field(default_factory=dict)
    """What `pulumi up` and `pulumi preview` take when there is nothing to change, and what the engine takes alone."""


def measure(lab: Lab, runs: int) -> Times:
    """`runs` rounds, after one that counts for nothing and fills the caches for every way alike."""
    for way in (*WAYS, EMPTY):
        way.prepare(lab)
    with step("a round to warm up"):
        _round(lab, Times())
    times = Times()
    for run in range(1, runs + 1):
        with step(f"round {run} of {runs}") as current:
            _round(lab, times)
            current.title += ": " + ", ".join(f"{seconds[-1]:.1f}" for seconds in times.pushed.values()) + " s"
    return times


def _round(lab: Lab, times: Times) -> None:
    for way in WAYS:
        began = time.monotonic()
        password = way.deploy(lab)
        times.deployed.setdefault(way.title, []).append(time.monotonic() - began)
        lab.push(password)
        times.pushed.setdefault(way.title, []).append(time.monotonic() - began)
        if way is UP:
            _beside(lab, times)
        way.remove(lab)
        lab.forget()


def _beside(lab: Lab, times: Times) -> None:
    with _timed(times.beside, "`pulumi up`, nothing to change"):
        UP.pulumi(lab, "up", "--yes", "--skip-preview", "--expect-no-changes")
    with _timed(times.beside, "`pulumi preview`, nothing to change"):
        UP.pulumi(lab, "preview", "--expect-no-changes")
    with _timed(times.beside, EMPTY.title):
        EMPTY.pulumi(lab, "up", "--yes", "--skip-preview")


@contextmanager
def _timed(times: dict[str, list[float]], title: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    times.setdefault(title, []).append(time.monotonic() - began)
