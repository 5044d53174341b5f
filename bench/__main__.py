"""`python -m bench`: measure what the project claims about speed, and write it down.

`first-push` and `preview` need what `python -m dev up` needs, bring up a cluster of their own beside any other, and
wipe it at the end. `program` and `graph` need nothing but Python.
"""

import sys
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bench import first_push, graph, preview, program
from bench.figures import Outcome
from bench.lab import Failed, Lab, lab
from bench.machine import describe, here
from bench.plot import draw
from bench.report import table
from dev import cluster
from dev.console import Unmet
from dev.toolchain.build import BuildFailed

RESULTS = Path(__file__).resolve().parent / "results"
ENOUGH = 5
"""Rounds whose median is worth keeping."""


class Benchmark(StrEnum):
    """In the order in which they are run."""

    PROGRAM = "program"
    GRAPH = "graph"
    PREVIEW = "preview"
    FIRST_PUSH = "first-push"


def _first_push(place: Lab, rounds: int, machine: str) -> Outcome:
    times = first_push.measure(place, rounds)
    return Outcome(table(times, machine), {"first_push.png": partial(draw, times)})


HERE: dict[Benchmark, Callable[[int, str], Outcome]] = {
    Benchmark.PROGRAM: program.benchmark,
    Benchmark.GRAPH: graph.benchmark,
}
ON_A_CLUSTER: dict[Benchmark, Callable[[Lab, int, str], Outcome]] = {
    Benchmark.PREVIEW: preview.benchmark,
    Benchmark.FIRST_PUSH: _first_push,
}


def bench(
    which: Annotated[list[Benchmark] | None, typer.Argument(help="Those to run; all of them by default.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Below 5 is a rehearsal, which is only printed.")] = ENOUGH,
) -> None:
    """Measure ratios, each side by side in one run.

    program: importing the component, and programs of 1, 10 and 100 registries. graph: how many answers of the engine
    one registry waits for in a row. preview: `pulumi preview` of ten registries, of one and of nothing. first-push:
    from a ready cluster to the first authenticated push, by `pulumi up`, by the guide as a shell script, and by
    `pulumi up` with the Service's default wait. Prints tables, and writes them and plots to bench/results. The exit
    code does not tell whether the goals are met: the tables do.
    """
    chosen = set(which or Benchmark)
    for each in [each for each in HERE if each in chosen]:
        keep(each, HERE[each](rounds, here()), rounds)
    if chosen & ON_A_CLUSTER.keys():
        with lab() as place:
            machine = describe(place)
            for each in [each for each in ON_A_CLUSTER if each in chosen]:
                keep(each, ON_A_CLUSTER[each](place, rounds, machine), rounds)


def keep(benchmark: Benchmark, outcome: Outcome, rounds: int) -> None:
    """Print the table; write it down with its pictures, unless it was a rehearsal."""
    print(outcome.text)
    if rounds >= ENOUGH:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{benchmark.replace('-', '_')}.md").write_text(outcome.text)
        for name, draw_to in outcome.pictures.items():
            draw_to(RESULTS / name)


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
