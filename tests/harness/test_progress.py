"""The plugin `tests.harness.progress`: its lines, its report and the expected durations."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.harness import estimate, progress
from tests.harness.estimate import Estimate, read_durations, write_durations
from tests.harness.report import Figure, Phase, RunReport

pytest_plugins = ["pytester"]

PROGRAM = """
import pytest

def test_passes(record_property):
    record_property("figures", "pushed in 3 s")

def test_fails(record_property):
    record_property("artifacts", ".dev/failures/x")
    assert False

@pytest.fixture
def broken():
    raise ValueError

def test_is_broken(broken): ...

def test_is_skipped():
    pytest.skip("not here")
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.Pytester:
    """Return a separate pytest with the plugin, whose clock stands still. It writes report.json and durations.json."""
    monkeypatch.setenv("TESTS_REPORT", str(pytester.path / "report.json"))
    monkeypatch.setenv("TESTS_PART", "unit")
    monkeypatch.setattr(estimate, "DURATIONS", pytester.path / "durations.json")
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: 0.0))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]\nconsole_output_style = classic")
    return pytester


def result(run: pytest.Pytester, program: str, *arguments: str) -> str:
    run.makepyfile(test_it=program)
    options = ("-p", "tests.harness.progress", "-p", "no:cacheprovider", "--tb=no")
    return run.runpytest_inprocess(*options, *arguments).stdout.str()


def test_a_failure_is_printed_at_once(run: pytest.Pytester) -> None:
    lines = result(run, PROGRAM).splitlines()
    closing = next(index for index, line in enumerate(lines) if "short test summary" in line)
    assert "✗ test_it.py::test_fails failed after 0.0 s" in lines[:closing]
    assert "✗ test_it.py::test_is_broken failed in setup after 0.0 s" in lines[:closing]


def test_a_short_run_prints_neither_dots_nor_progress(run: pytest.Pytester) -> None:
    lines = [line for line in result(run, "def test_x(): ...\ndef test_y(): ...").splitlines() if line]
    assert lines[-2].startswith("collected 2 items")
    assert "2 passed in" in lines[-1]


def test_a_long_run_prints_progress_with_the_time_left(run: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    (run.path / "durations.json").write_text('{"test_it.py::test_is_skipped": 400}')
    monkeypatch.setattr(progress, "SILENT_SECONDS", 0)
    monkeypatch.setattr(progress, "LOG_SECONDS", 0)
    lines = result(run, PROGRAM).splitlines()
    assert "  unit  1 of 4 passed, 1 failed, 0:00, about 6:40 left" in lines
    assert "  unit  1 of 4 passed, 2 failed, 1 skipped, 0:00" in lines, "The last line has no estimate."


def test_with_v_pytest_prints_its_own_lines(run: pytest.Pytester) -> None:
    output = result(run, PROGRAM, "-v")
    assert "test_it.py::test_fails FAILED" in output
    assert "✗" not in output


def test_the_report_contains_phases_counts_figures_and_artifacts(run: pytest.Pytester) -> None:
    output = result(run, PROGRAM)
    report = RunReport.read(run.path / "report.json")
    assert [(phase.nodeid.partition("::")[2], phase.phase, phase.outcome) for phase in report.phases][3:7] == [
        ("test_fails", "setup", "passed"),
        ("test_fails", "call", "failed"),
        ("test_fails", "teardown", "passed"),
        ("test_is_broken", "setup", "failed"),
    ]
    assert report.counts == {"passed": 1, "failed": 1, "error": 1, "skipped": 1}
    assert report.failed() == ["test_it.py::test_fails", "test_it.py::test_is_broken"]
    assert report.artifacts == [".dev/failures/x"]
    assert report.figures == [Figure("test_it.py::test_passes", "pushed in 3 s")]
    assert "test_it.py::test_passes: pushed in 3 s" in output.splitlines()


def test_a_module_that_cannot_be_imported_is_reported(run: pytest.Pytester) -> None:
    result(run, "import nowhere")
    assert RunReport.read(run.path / "report.json").failed() == ["test_it.py"]


def test_a_pytest_that_a_test_starts_does_not_overwrite_the_report(run: pytest.Pytester) -> None:
    program = "import os\ndef test_x(): assert not {'TESTS_REPORT', 'TESTS_PART'} & os.environ.keys()"
    assert "1 passed" in result(run, program)


def test_a_worker_prints_nothing(run: pytest.Pytester) -> None:
    config = run.parseconfigure()
    config.workerinput = {}  # type: ignore[attr-defined]
    plugins = config.pluginmanager.get_plugins()
    progress.pytest_configure(config)
    assert config.pluginmanager.get_plugins() == plugins


def test_durations_are_merged(run: pytest.Pytester) -> None:
    """The tests failed, did not run, became fast, or their file was deleted."""
    run.makepyfile(test_it="")
    path = run.path / "durations.json"
    path.write_text(
        json.dumps({f"test_it.py::test_{name}": 9 for name in ("old", "fast", "fails")} | {"gone.py::x": 9})
    )
    phases = [
        Phase("test_it.py::test_new", "setup", 1.21, "passed"),
        Phase("test_it.py::test_new", "call", 2.23, "passed"),
        Phase("test_it.py::test_fast", "call", 0.4, "passed"),
        Phase("test_it.py::test_fails", "call", 70.0, "failed"),
    ]
    write_durations(path, RunReport(phases=phases), run.path)
    assert list(read_durations(path).items()) == [
        ("test_it.py::test_fails", 9),
        ("test_it.py::test_new", 3.4),
        ("test_it.py::test_old", 9),
    ]


def test_write_durations_is_an_option(run: pytest.Pytester) -> None:
    run.makepyfile(test_it="")
    result(run, "def test_x(): ...", "--write-durations")
    assert (run.path / "durations.json").read_text() == "{}\n"


def test_the_time_left_is_unknown_without_durations_until_a_test_ends() -> None:
    tests = Estimate({})
    tests.collect("abc")
    tests.start("a", now=0)
    assert tests.seconds_left(now=5) is None
    tests.finish("a", now=10)
    assert tests.seconds_left(now=10) == 20


def test_the_time_left_follows_the_pace_of_the_run() -> None:
    tests = Estimate({"a": 970, "b": 100})
    tests.collect("ab")
    tests.start("a", now=0)
    assert tests.seconds_left(now=70) == 1000
    tests.finish("a", now=1970)
    assert tests.seconds_left(now=1970) == pytest.approx(200)


def test_the_time_left_is_divided_by_the_busy_workers() -> None:
    tests = Estimate(dict.fromkeys("abc", 30.0))
    tests.collect("abc")
    tests.start("a", now=0)
    tests.start("b", now=0)
    assert tests.seconds_left(now=0) == 45


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (372, "6:12"), (3725, "1:02:05")])
def test_a_clock_has_minutes_and_seconds(seconds: float, text: str) -> None:
    assert progress.clock(seconds) == text
