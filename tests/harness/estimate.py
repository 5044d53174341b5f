"""Expected durations of the tests (tests/durations.json), and the time left in a run."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.harness.report import RunReport

DURATIONS = Path(__file__).parent.parent / "durations.json"

SHORTEST = 0.5
"""Seconds that a test must take to be listed in tests/durations.json."""

PRIOR_SECONDS = 30.0
"""Expected seconds of finished tests until the pace of this run weighs more than the listed durations."""


class Estimate:
    """The tests of a run, and an estimate of the time left. All times are seconds of one monotonic clock."""

    def __init__(self, durations: Mapping[str, float]) -> None:
        self.total = 0
        self._durations = durations
        self._waiting: dict[str, None] = {}
        self._running: dict[str, float] = {}
        self._expected = self._measured = 0.0
        self._unlisted: list[float] = []

    def collect(self, nodeids: Iterable[str]) -> None:
        """Set the tests of the run."""
        self._waiting = dict.fromkeys(nodeids)
        self.total = len(self._waiting)

    def start(self, nodeid: str, now: float) -> None:
        self._waiting.pop(nodeid, None)
        self._running[nodeid] = now

    def elapsed(self, nodeid: str, now: float) -> float:
        """Return the seconds since a running test was started."""
        return now - self._running.get(nodeid, now)

    def finish(self, nodeid: str, now: float) -> None:
        """Compare a finished test with its expected duration."""
        seconds = self.elapsed(nodeid, now)
        self._running.pop(nodeid, None)
        if nodeid in self._durations:
            self._expected += self._durations[nodeid]
            self._measured += seconds
        else:
            self._unlisted.append(seconds)

    def seconds_left(self, now: float) -> float | None:
        """Return the estimated seconds until the last test ends, or None if no duration is known yet.

        The sum is divided by the number of running tests, which is the number of busy workers.
        """
        rest = [*self._waiting, *self._running]
        if not self._unlisted and not any(nodeid in self._durations for nodeid in rest):
            return None
        seconds = sum(max(0.0, self._expected_seconds(nodeid) - self.elapsed(nodeid, now)) for nodeid in rest)
        return seconds / max(1, len(self._running))

    def _expected_seconds(self, nodeid: str) -> float:
        """Return the listed duration at the pace of this run, or the average of the unlisted tests so far."""
        if nodeid in self._durations:
            return self._durations[nodeid] * (self._measured + PRIOR_SECONDS) / (self._expected + PRIOR_SECONDS)
        return sum(self._unlisted) / len(self._unlisted) if self._unlisted else 0.0


def read_durations(path: Path) -> dict[str, float]:
    """Return the expected seconds by node ID, or an empty table if the file does not exist."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def write_durations(path: Path, report: RunReport, root: Path) -> None:
    """Update the file with the tests that passed in this run.

    Other tests keep their entry if their file exists.
    """
    not_passed = {phase.nodeid for phase in report.phases if phase.outcome != "passed"}
    seconds = {nodeid: value for nodeid, value in report.seconds_by_test().items() if nodeid not in not_passed}
    merged = read_durations(path) | {nodeid: round(value, 1) for nodeid, value in seconds.items()}
    entries = {
        nodeid: value
        for nodeid, value in sorted(merged.items())
        if seconds.get(nodeid, value) >= SHORTEST and (root / nodeid.partition("::")[0]).exists()
    }
    path.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
