"""The page with the results of the last complete soak, `tests/soak.md`."""

import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from tests.harness.parts import ROOT
from tests.harness.progress import clock
from tests.harness.report import slowest
from tests.harness.runner import Result
from tests.harness.summary import MAX_SLOWEST

PAGE = ROOT / "tests/soak.md"


def write(results: Sequence[Result], seed: int, path: Path = PAGE) -> None:
    """Write the page of a soak whose tests have all passed."""
    path.write_text("".join(_lines(results, seed)))


def _lines(results: Sequence[Result], seed: int) -> Iterator[str]:
    cores, memory = psutil.cpu_count(), psutil.virtual_memory().total // 2**30
    yield "# The last soak\n\n"
    yield f"`make soak SEED={seed}` repeats it. A soak that passes writes this page.\n"
    yield f"Machine: {cores} cores, {memory} GiB, Python {platform.python_version()}.\n\n"
    yield "| part | passed | failed | real | CPU |\n|---|---|---|---|---|\n"
    for result in results:
        counts = result.report.counts if result.report else {}
        times = f"{clock(result.seconds)} | {clock(result.cpu_seconds)}"
        yield f"| {result.part.name} | {counts.get('passed', 0)} | {counts.get('failed', 0)} | {times} |\n"
    reports = [result.report for result in results if result.report]
    yield "\n| test | figures |\n|---|---|\n"
    for figure in sorted((figure for report in reports for figure in report.figures), key=lambda one: one.nodeid):
        yield f"| `{_name(figure.nodeid)}` | {' '.join(figure.text.split())} |\n"
    yield "\n| slowest test | phase | seconds |\n|---|---|---|\n"
    for phase in slowest(reports, MAX_SLOWEST):
        yield f"| `{_name(phase.nodeid)}` | {phase.phase} | {phase.seconds:.0f} |\n"


def _name(nodeid: str) -> str:
    """Return the node ID without the folder, as a cell of a table."""
    return nodeid.removeprefix("tests/").replace("|", "\\|")
