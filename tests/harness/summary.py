"""The summary of `python -m tests`: the parts, the slowest tests, and commands that repeat the failed tests."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence

from tests.harness.parts import Part
from tests.harness.progress import clock
from tests.harness.report import RunReport, slowest
from tests.harness.runner import Result

MAX_SLOWEST = 10
"""Number of test phases in the list of the slowest."""

MAX_COMMANDS = 20
"""Number of failed tests of a part whose commands are printed."""

CATEGORIES = ("failed", "passed", "skipped", "xfailed", "xpassed", "error")
"""Categories of tests in the order of pytest's last line."""


def summary(parts: Sequence[Part], results: Sequence[Result]) -> str:
    """Return the summary of `parts`. A part without a result did not run."""
    by_name = {result.part.name: result for result in results}
    lines = [f"{'part':<7}{'result':<9}{'real':>8}{'CPU':>9}  tests"]
    lines += [_row(part, by_name.get(part.name)) for part in parts]
    reports = [result.report for result in results if result.report]
    if phases := slowest(reports, MAX_SLOWEST):
        lines += ["", "Slowest tests:"]
        lines += [f"{phase.seconds:8.1f} s  {phase.phase:<9}{phase.nodeid}" for phase in phases]
    failed = [result for result in results if not result.passed]
    if failed:
        lines += ["", "Repeat the failed tests:"]
        lines += [f"  {command}" for result in failed for command in _commands(result)]
    if folders := [folder for report in reports for folder in report.artifacts]:
        lines += ["", "Logs and objects of failed tests:", *(f"  {folder}" for folder in folders)]
    return "\n".join(lines)


def _row(part: Part, result: Result | None) -> str:
    if result is None:
        return f"{part.name:<7}not run"
    outcome = "passed" if result.passed else "failed"
    tests = _closing_line(result.report) if result.report else ""
    return f"{part.name:<7}{outcome:<9}{clock(result.seconds):>8}{clock(result.cpu_seconds):>9}  {tests}".rstrip()


def _closing_line(report: RunReport) -> str:
    """Return the counts and the seconds in the format of pytest's last line."""
    counts = [f"{report.counts[name]} {name}" for name in CATEGORIES if report.counts.get(name)]
    return f"{', '.join(counts) or 'no tests ran'} in {report.seconds:.2f}s"


def _commands(result: Result) -> Iterator[str]:
    """Yield a command for each failed test of the part, or one command for the part if it has no failed test."""
    make = f"{run_variables(os.environ)}make {result.part.name}"
    failed = result.report.failed() if result.report else []
    if not failed:
        yield make
    for nodeid in failed[:MAX_COMMANDS]:
        yield f"{make} ARGS={_make_argument(nodeid)}"
    if len(failed) > MAX_COMMANDS:
        yield f"{make}  # and {len(failed) - MAX_COMMANDS} more"


def run_variables(environment: Mapping[str, str]) -> str:
    """Return the variables that select the release of Kubernetes and full counts, for the front of a command."""
    names = [name for name in ("K8S", "SOAK", "SOAK_SEED", "DRILLS") if environment.get(name)]
    return "".join(f"{name}={environment[name]} " for name in names)


def _make_argument(nodeid: str) -> str:
    """Quote a node ID for the recipe's shell, then for make, then for the shell that calls make."""
    word = shlex.quote(nodeid).replace("$", "$$")
    return shlex.quote(word) if any(character in word for character in '"$`\\!') else f'"{word}"'
