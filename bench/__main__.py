"""`python -m bench`: measure what the project claims about speed, and write it down.

Needs what `python -m dev up` needs, brings up a cluster of its own beside any other, and wipes it at the end.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.first_push import measure
from bench.lab import Failed, lab
from bench.machine import describe
from bench.plot import draw
from bench.report import table
from dev import cluster
from dev.console import Unmet
from dev.toolchain.build import BuildFailed

RESULTS = Path(__file__).resolve().parent / "results"
ENOUGH = 5
"""Runs whose median is worth keeping."""


def bench(
    runs: Annotated[int, typer.Option(min=1, help="Rounds; below 5 is a rehearsal, which is only printed.")] = ENOUGH,
) -> None:
    """Time three ways from a ready cluster to the first authenticated push, side by side.

    `pulumi up`, the guide as a shell script, and `pulumi up` with the Service's default wait. Prints a table, and
    writes it and a plot to bench/results. The exit code does not tell whether the goals are met: the table does.
    """
    with lab() as place:
        machine = describe(place)
        times = measure(place, runs)
    text = table(times, machine)
    print(text)
    if runs >= ENOUGH:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "first_push.md").write_text(text)
        draw(times, RESULTS / "first_push.png")


def main() -> None:
    """One line for what a person can put right, and the exit code that tells them apart; a trace for a bug."""
    try:
        typer.run(bench)
    except Unmet as unmet:
        print(unmet, file=sys.stderr)
        sys.exit(2)
    except (Failed, BuildFailed, cluster.Failed) as failed:
        print(failed, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
