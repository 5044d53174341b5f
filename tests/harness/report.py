"""The report of a pytest run. The plugin `tests.harness.progress` writes it and `python -m tests` reads it."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

ENVIRONMENT_VARIABLE = "TESTS_REPORT"
"""Environment variable with the path of the report file. Without it no report is written."""

CRASH = "crash"
"""Phase of a test whose worker ended before the test did."""


@dataclass(frozen=True)
class Phase:
    """Setup, call or teardown of one test. A module that cannot be imported has the phase `collect`."""

    nodeid: str
    phase: str
    seconds: float
    outcome: str


@dataclass(frozen=True)
class Figure:
    """A measured value that a test prints after the run."""

    nodeid: str
    text: str


@dataclass
class RunReport:
    """The results of a pytest run. `counts` has pytest's own categories: passed, failed, error, ..."""

    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    phases: list[Phase] = field(default_factory=list)
    artifacts: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)

    def add(self, report: pytest.TestReport) -> Phase:
        """Add and return one phase of a test, with the `figures` and `artifacts` among its user properties."""
        phase = report.when if report.when in ("setup", "call", "teardown") else CRASH
        self.phases.append(Phase(report.nodeid, phase, report.duration, report.outcome))
        for name, value in report.user_properties:
            # pytest repeats the properties of a test in its later phases.
            if name == "figures" and (figure := Figure(report.nodeid, str(value))) not in self.figures:
                self.figures.append(figure)
            if name == "artifacts" and str(value) not in self.artifacts:
                self.artifacts.append(str(value))
        return self.phases[-1]

    def failed(self) -> list[str]:
        """Return the node IDs of the failed tests without duplicates."""
        return list(dict.fromkeys(phase.nodeid for phase in self.phases if phase.outcome == "failed"))

    def seconds_by_test(self) -> dict[str, float]:
        """Return the seconds of each test, summed over its phases."""
        seconds: dict[str, float] = {}
        for phase in self.phases:
            seconds[phase.nodeid] = seconds.get(phase.nodeid, 0.0) + phase.seconds
        return seconds

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, path: Path) -> "RunReport":
        data = json.loads(path.read_text())
        phases = [Phase(**phase) for phase in data.pop("phases")]
        return cls(phases=phases, figures=[Figure(**figure) for figure in data.pop("figures")], **data)


def slowest(reports: Iterable[RunReport], count: int) -> list[Phase]:
    """Return the `count` slowest phases of all reports, the slowest first."""
    phases = [phase for report in reports for phase in report.phases]
    return sorted(phases, key=lambda phase: phase.seconds, reverse=True)[:count]
