"""A pytest plugin that prints progress lines instead of dots, prints failures at once, and writes a JSON report.

`addopts` loads it in every run. Workers of pytest-xdist do not print, because the controller gets their reports. With
`-v` pytest prints a line for each test, so the plugin prints no progress.
"""

import os
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import estimate
from tests.harness.report import CRASH, ENVIRONMENT_VARIABLE, Phase, RunReport

PART_VARIABLE = "TESTS_PART"
"""Variable with the name of the part that `python -m tests` runs."""

SILENT_SECONDS = 5.0
"""Seconds of a run before the first progress line."""

LOG_SECONDS, TERMINAL_SECONDS = 15.0, 1.0
"""Seconds between two progress lines in a log, and between two updates of the line on a terminal."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("progress")
    group.addoption(
        "--write-versions",
        action="store_true",
        help="Update tests/versions.json, the versions in the README, with those of the programs in this run.",
    )
    group.addoption(
        "--write-durations",
        action="store_true",
        help="Update tests/durations.json, the expected durations, with the tests that pass in this run.",
    )


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    # Remove the path from the environment. A pytest that a test starts would overwrite this run's report.
    path, part = os.environ.pop(ENVIRONMENT_VARIABLE, ""), os.environ.pop(PART_VARIABLE, "tests")
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Progress(config, reporter, part, Path(path) if path else None))


class Progress:
    """Prints the progress of a run and collects its report."""

    def __init__(self, config: pytest.Config, reporter: pytest.TerminalReporter, part: str, path: Path | None) -> None:
        self._config, self._reporter, self._part, self._path = config, reporter, part, path
        self._report = RunReport()
        self._estimate = estimate.Estimate(estimate.read_durations(estimate.DURATIONS))
        self._began = time.monotonic()
        self._interval = TERMINAL_SECONDS if reporter.isatty() else LOG_SECONDS
        self._due = self._began + max(SILENT_SECONDS, self._interval)
        self._has_printed = False
        self._passed = 0
        self._failed: set[str] = set()
        self._skipped: set[str] = set()
        self._prints = config.option.verbose <= 0
        reporter.showfspath = reporter.showfspath and not self._prints
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._clock = threading.Thread(target=self._tick_until_stopped, daemon=True)

    def pytest_sessionstart(self) -> None:
        """Start the clock only in a controller of workers, so that no test shares its process with a thread."""
        if self._config.getoption("dist", "no") != "no":
            self._clock.start()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._estimate.collect(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        with self._lock:
            if not self._estimate.total:
                self._estimate.collect(ids)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._report.phases.append(Phase(report.nodeid, "collect", 0.0, "failed"))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        with self._lock:
            self._estimate.start(nodeid, time.monotonic())
            self._tick()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if type(report) is not pytest.TestReport:
            return  # a subtest, whose time and outcome are part of its test's
        with self._lock:
            phase = self._report.add(report)
            if report.failed and phase.nodeid not in self._failed:
                self._failed.add(phase.nodeid)
                self._print_failure(phase)
            if report.skipped:
                self._skipped.add(phase.nodeid)
            if phase.phase in ("teardown", CRASH):
                self._passed += phase.nodeid not in self._failed | self._skipped
                self._estimate.finish(phase.nodeid, time.monotonic())

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self) -> Generator[None, Any, Any]:
        """Remove the letter that pytest prints for a test."""
        category, letter, word = yield
        return category, "" if self._prints else letter, word

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None]:
        """Print the final progress line before pytest's summary, and write the files after it."""
        self._stop.set()
        with self._lock:
            if self._has_printed:
                self._print_line(self._line(with_estimate=False))
        yield
        self._report.seconds = time.monotonic() - self._began
        self._report.counts = {name: len(reports) for name, reports in self._reporter.stats.items() if name}
        if self._path:
            self._report.write(self._path)
        if self._config.option.write_durations:
            estimate.write_durations(estimate.DURATIONS, self._report, self._config.rootpath)

    def pytest_terminal_summary(self) -> None:
        if self._report.figures:
            self._reporter.section("figures")
            for figure in self._report.figures:
                self._reporter.write_line(f"{figure.nodeid}: {figure.text}")

    def _tick_until_stopped(self) -> None:
        while not self._stop.wait(TERMINAL_SECONDS):
            with self._lock:
                self._tick()

    def _tick(self) -> None:
        """Print a progress line if the last one is old enough."""
        now = time.monotonic()
        if self._prints and now >= self._due and self._estimate.total and not self._stop.is_set():
            self._due = now + self._interval
            self._has_printed = True
            self._print_line(self._line())

    def _line(self, with_estimate: bool = True) -> str:
        now = time.monotonic()
        parts = [f"{self._passed} of {self._estimate.total} passed", f"{len(self._failed)} failed"]
        if self._skipped:
            parts.append(f"{len(self._skipped)} skipped")
        parts.append(clock(now - self._began))
        left = self._estimate.seconds_left(now)
        if with_estimate and left is not None:
            parts.append(f"about {clock(left)} left")
        return f"  {self._part:<5} {', '.join(parts)}"

    def _print_line(self, line: str, **markup: bool) -> None:
        """Print a line. On a terminal it replaces the progress line, and the next one replaces it."""
        if self._reporter.isatty():
            self._reporter.rewrite(line, erase=True, **markup)
            self._reporter.flush()
        else:
            self._reporter.write_line(line, **markup)

    def _print_failure(self, phase: Phase) -> None:
        if not self._prints:
            return
        event = {"call": "failed", CRASH: "lost its worker"}.get(phase.phase, f"failed in {phase.phase}")
        seconds = self._estimate.elapsed(phase.nodeid, time.monotonic())
        self._print_line(f"✗ {phase.nodeid} {event} after {seconds:.1f} s", red=True)
        if self._reporter.isatty():
            self._reporter.write("\n")


def clock(seconds: float) -> str:
    """Return seconds as m:ss, or as h:mm:ss from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
