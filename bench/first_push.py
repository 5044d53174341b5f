"""The benchmark `first-push`: seconds from a ready cluster to the first authenticated push.

The methods take turns, so that a slow minute of the machine affects all of them.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.lab import Lab
from bench.methods import EMPTY, METHODS, PULUMI_UP
from dev.console import step


@dataclass(frozen=True)
class Times:
    """Seconds from the start of a method or command by its title, with one value for each round."""

    pushed: dict[str, list[float]] = field(default_factory=dict)
    """Seconds until the first push was complete, by the title of the method."""
    deployed: dict[str, list[float]] = field(default_factory=dict)
    """Seconds until the deployment was complete, by the title of the method."""
    other: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of other commands: `pulumi up` and `pulumi preview` without changes, and `up` of an empty program."""


def measure_first_push(lab: Lab, rounds: int) -> Times:
    """Measure all methods in every round, after an unmeasured round that fills the caches."""
    for method in (*METHODS, EMPTY):
        method.prepare(lab)
    with step("unmeasured first round"):
        _measure_round(lab, Times())
    times = Times()
    for number in range(1, rounds + 1):
        with step(f"round {number} of {rounds}") as current_step:
            _measure_round(lab, times)
            current_step.title += ": " + ", ".join(f"{seconds[-1]:.1f}" for seconds in times.pushed.values()) + " s"
    return times


def _measure_round(lab: Lab, times: Times) -> None:
    for method in METHODS:
        start = time.monotonic()
        password = method.deploy(lab)
        times.deployed.setdefault(method.title, []).append(time.monotonic() - start)
        lab.push(password)
        times.pushed.setdefault(method.title, []).append(time.monotonic() - start)
        if method is PULUMI_UP:
            _measure_other(lab, times)
        method.remove(lab)
        lab.reset()


def _measure_other(lab: Lab, times: Times) -> None:
    with _record_time(times.other, "`pulumi up` without changes"):
        PULUMI_UP.pulumi(lab, "up", "--yes", "--skip-preview", "--expect-no-changes")
    with _record_time(times.other, "`pulumi preview` without changes"):
        PULUMI_UP.pulumi(lab, "preview", "--expect-no-changes")
    with _record_time(times.other, EMPTY.title):
        EMPTY.pulumi(lab, "up", "--yes", "--skip-preview")


@contextmanager
def _record_time(times: dict[str, list[float]], title: str) -> Iterator[None]:
    """Append the seconds of the block to the values of a title, unless the block fails."""
    start = time.monotonic()
    yield
    times.setdefault(title, []).append(time.monotonic() - start)
