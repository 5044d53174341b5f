"""Measure the speed of the project as ratios, with all compared values in one run.

\b
Benchmarks:
  program       import of the component, and programs of 1, 10 and 100 registries
  graph         engine responses that one registry waits for in sequence
  access        pushes, pulls and wrong logins with `access`, with htpasswd and without
                authentication
  scrub         a client that reads while a scrub hashes all blobs
  preview       `pulumi preview` of ten registries, of one and of none
  replacement   `pulumi up` that replaces the Pod, with 0, 25,000 and 256,000 blobs
  first-push    seconds from a ready cluster to the first authenticated push, with
                `pulumi up`, the guide as a shell script, and `pulumi up` with the
                Service's default wait

preview, replacement and first-push need openssl and the requirements of `python -m dev up`. They create a cluster and
delete it at the end. The pages and plots are written to bench/results. The exit code does not depend on the goals.

\b
Examples:
  python -m bench
  python -m bench graph --rounds 1
"""

import sys
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bench import access_table, first_push, first_push_table, graph, preview, program, replacement, scrub
from bench.lab import Lab, running_lab
from bench.machine import describe_lab, describe_machine
from bench.plot import plot_first_push
from bench.tables import Outcome
from dev.errors import CommandError

RESULTS = Path(__file__).resolve().parent / "results"
MIN_ROUNDS = 5
"""Lowest number of rounds whose result is written to `RESULTS`."""


class Benchmark(StrEnum):
    """The benchmarks, in the order of a run."""

    PROGRAM = "program"
    GRAPH = "graph"
    ACCESS = "access"
    SCRUB = "scrub"
    PREVIEW = "preview"
    REPLACEMENT = "replacement"
    FIRST_PUSH = "first-push"


def _benchmark_first_push(lab: Lab, rounds: int, machine: str) -> Outcome:
    times = first_push.measure_first_push(lab, rounds)
    plot = partial(plot_first_push, times)
    return Outcome(first_push_table.render_page(times, machine), {"first_push.png": plot})


WITHOUT_CLUSTER: dict[Benchmark, Callable[[int, str], Outcome]] = {
    Benchmark.PROGRAM: program.benchmark,
    Benchmark.GRAPH: graph.benchmark,
    Benchmark.ACCESS: access_table.benchmark,
    Benchmark.SCRUB: scrub.benchmark,
}
ON_CLUSTER: dict[Benchmark, Callable[[Lab, int, str], Outcome]] = {
    Benchmark.PREVIEW: preview.benchmark,
    Benchmark.REPLACEMENT: replacement.benchmark,
    Benchmark.FIRST_PUSH: _benchmark_first_push,
}

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(help=__doc__)
def run(
    names: Annotated[list[Benchmark] | None, typer.Argument(help="Benchmarks to run. Default: all.")] = None,
    rounds: Annotated[
        int, typer.Option(min=1, help="Number of rounds. Results of fewer than 5 rounds are only printed.")
    ] = MIN_ROUNDS,
) -> None:
    """Run the benchmarks."""
    selected = set(names or Benchmark)
    for name, benchmark in WITHOUT_CLUSTER.items():
        if name in selected:
            save_outcome(name, benchmark(rounds, describe_machine()), rounds)
    if selected & ON_CLUSTER.keys():
        with running_lab() as lab:
            machine = describe_lab(lab)
            for name, benchmark_on_cluster in ON_CLUSTER.items():
                if name in selected:
                    save_outcome(name, benchmark_on_cluster(lab, rounds, machine), rounds)


def save_outcome(name: Benchmark, outcome: Outcome, rounds: int) -> None:
    """Print the page. Write it and its plots to `RESULTS` if there were enough rounds."""
    print(outcome.text)
    if rounds >= MIN_ROUNDS:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name.replace('-', '_')}.md").write_text(outcome.text)
        for file, plot in outcome.plots.items():
            plot(RESULTS / file)


def main() -> None:
    """Run the command line. Print a `CommandError` without a traceback, and exit with its code."""
    try:
        app(prog_name="python -m bench")
    except CommandError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
