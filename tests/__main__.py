"""Run parts of the tests: lint, types, unit, e2e. Default: all of them.

lint runs first, then types and unit in parallel, then e2e. The run stops at the first stage that fails. e2e
needs root. The variable LABS sets the number of clusters that it uses in parallel (default: at most 3).

soak runs unit and e2e with full counts and a new seed, which it prints. drills puts faults into registries
under load, with full counts.

Arguments after `--` are passed to pytest.

\b
Examples:
  python -m tests
  python -m tests lint types unit
  python -m tests e2e -- -k rotation
  python -m tests unit -- tests/registry/test_pem.py --write-durations
  python -m tests soak --seed 123
  python -m tests drills -- -k nodes
"""

import os
import signal
import sys
import time
from typing import Annotated

import typer

from tests.harness import drill_page, soak_page
from tests.harness.parts import FULL_RUNS, PARTS, STAGES, Part
from tests.harness.runner import Result, Runner
from tests.harness.summary import summary

INTERRUPTED = 128 + signal.SIGINT
"""Exit code after Ctrl-C, and after the end of a CI job or a terminal."""

PARTS_HELP = "; ".join(f"{part.name}: {part.description}" for part in PARTS.values())
"""Help for the names of the parts."""

Names = Annotated[list[str] | None, typer.Argument(metavar="PART", help=PARTS_HELP, show_default=False)]

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(help=__doc__)
def run(
    context: typer.Context,
    names: Names = None,
    seed: Annotated[int | None, typer.Option(help="Seed of soak and drills. Default: the current time.")] = None,
) -> None:
    """Run the parts, print their summary, and exit with 1 if one failed."""
    parts = _select(names or [*PARTS])
    full_run = names[0] if names and names[0] in FULL_RUNS else ""
    if full_run:
        _set_full_counts(full_run, seed)
    elif seed is not None:
        raise typer.BadParameter("Only soak and drills take a seed. Remove the option.", param_hint="--seed")
    runner = Runner(context.obj or ())
    _interrupt_on_signals(runner)
    results = _run_stages(runner, parts)
    print(f"\n{summary(parts, results)}", flush=True)
    passed = len(results) == len(parts) and all(result.passed for result in results)
    if full_run == "soak" and passed and not context.obj:
        soak_page.write(results, int(os.environ["SOAK_SEED"]))
    if full_run == "drills" and passed and not context.obj:
        drill_page.write(results[0])
    raise typer.Exit(INTERRUPTED if runner.interrupted else int(not passed))


def _set_full_counts(full_run: str, seed: int | None) -> None:
    """Set the variables of full counts, and print the seed. The tests read them from the environment."""
    os.environ |= {"SOAK": "1", "SOAK_SEED": str(int(time.time()) if seed is None else seed)}
    if full_run == "drills":
        os.environ["DRILLS"] = "1"
    print(f"{full_run} with --seed {os.environ['SOAK_SEED']}", flush=True)


def _interrupt_on_signals(runner: Runner) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: runner.interrupt())


def _select(names: list[str]) -> list[Part]:
    """Return the parts with these names, in the order of the table."""
    if unknown := [name for name in names if name not in (*PARTS, *FULL_RUNS)]:
        known = ", ".join([*PARTS, *FULL_RUNS])
        raise typer.BadParameter(f"The part {unknown[0]!r} is unknown. Use {known}.", param_hint="PART")
    if full_runs := [name for name in names if name in FULL_RUNS]:
        if len(names) > 1:
            raise typer.BadParameter(f"{full_runs[0]} runs alone. Remove the other parts.", param_hint="PART")
        return list(FULL_RUNS[full_runs[0]])
    return [part for part in PARTS.values() if part.name in names]


def _run_stages(runner: Runner, parts: list[Part]) -> list[Result]:
    """Run the stages one after another, until a part fails."""
    results: list[Result] = []
    for stage in STAGES:
        if selected := [part for part in stage if part in parts]:
            results += runner.run_stage(selected)
        if runner.interrupted or not all(result.passed for result in results):
            break
    return results


def main() -> None:
    """Run the command line with the arguments before `--`. Those after it are for pytest."""
    at = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    app(args=sys.argv[1:at], obj=sys.argv[at + 1 :], prog_name="python -m tests")


if __name__ == "__main__":
    main()
