"""The table of docs/reliability.md, with the figures of the last complete run of the drills."""

import platform
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil

from dev.cluster.programs import choose_release
from dev.toolchain.programs import KUBERNETES
from tests.harness.parts import ROOT
from tests.harness.progress import clock
from tests.harness.report import RunReport
from tests.harness.runner import Result

PAGE = ROOT / "docs/reliability.md"

BEGIN, END = "<!-- written by make drills -->\n", "<!-- end -->\n"
"""Lines of the page around the table."""


def write(result: Result, path: Path = PAGE) -> None:
    """Replace the table of the page after all drills of a run have passed."""
    before, _, rest = path.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    path.write_text(before + BEGIN + "".join(_lines(result)) + END + after)


def _lines(result: Result) -> Iterator[str]:
    kubernetes = KUBERNETES[choose_release()]
    cores, memory = psutil.cpu_count(), psutil.virtual_memory().total // 2**30
    yield f"\nLast run: {datetime.now(UTC):%Y-%m-%d}, in {clock(result.seconds)}, with Kubernetes {kubernetes},\n"
    yield f"{cores} cores, {memory} GiB of memory and Python {platform.python_version()}.\n\n"
    yield "| drill | figures |\n|---|---|\n"
    report = result.report or RunReport()
    figures: dict[str, list[str]] = {nodeid: [] for nodeid in report.seconds_by_test()}
    for figure in report.figures:
        figures[figure.nodeid].append(" ".join(figure.text.split()))
    for nodeid in sorted(figures):
        yield f"| {sentence(nodeid)} | {'; '.join(figures[nodeid]) or 'passed'} |\n"
    yield "\n"


def sentence(nodeid: str) -> str:
    """Return the name of a test as a sentence, with its parameters in parentheses."""
    name = nodeid.rpartition("::")[2]
    match = re.fullmatch(r"test_(\w+?)(?:\[(.*)\])?", name)
    assert match, nodeid
    words = match[1].replace("_", " ").capitalize()
    return f"{words} ({match[2]})" if match[2] else words
