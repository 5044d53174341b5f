"""`python -m tests`: its commands, its processes and its summary."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from dev.cluster import inotify
from tests import __main__ as command_line
from tests.harness.parts import DRILLS, E2E, FULL_RUNS, PARTS, ROOT, STAGES, UNIT, Part
from tests.harness.report import Phase, RunReport
from tests.harness.runner import Result, Runner
from tests.harness.summary import summary


def python(name: str, *programs: str) -> Part:
    """Return a part that runs Python programs one after another."""
    return Part(name, "", tuple(("python", "-c", program) for program in programs))


def test_every_part_is_in_one_stage() -> None:
    assert sorted(part.name for stage in STAGES for part in stage) == sorted([*PARTS, DRILLS.name])


def test_make_and_ci_use_this_command() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = dict(re.findall(r"^(\w+): venv ##.*\n\t@\$\(BIN\)/python -m tests(?!\.) ?(\w*)", makefile, re.MULTILINE))
    assert targets == {"test": "", **{name: name for name in (*PARTS, *FULL_RUNS)}}
    assert "exec make test" in (ROOT / ".ci/run").read_text()


@pytest.mark.parametrize(("free", "labs"), [(128, "3"), (100, "2"), (64, "1"), (20, "1")])
def test_the_number_of_labs_depends_on_inotify_instances(monkeypatch: pytest.MonkeyPatch, free: int, labs: str) -> None:
    monkeypatch.delenv("LABS", raising=False)
    monkeypatch.setattr(inotify, "can_raise_limit", lambda: False)
    monkeypatch.setattr(inotify, "count_free", lambda limit: min(free, limit))
    ((_, *arguments),) = E2E.command_lines()
    assert arguments[3:5] == ["-n", labs]


def test_pytest_gets_the_number_of_labs_and_the_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABS", "5")
    monkeypatch.delenv("SOAK_SEED", raising=False)
    ((program, *arguments),) = E2E.command_lines(["-k", "rotation"])
    assert program == str(Path(sys.executable).parent / "pytest")
    assert arguments[:5] == ["-m", "e2e", "tests/e2e", "-n", "5"]
    assert arguments[-2:] == ["-k", "rotation"]


def test_a_named_end_to_end_test_runs_alone() -> None:
    ((_, *arguments),) = E2E.command_lines(["tests/e2e/test_users.py::test_x[a/b]"])
    assert "tests/e2e" not in arguments


def test_a_named_offline_test_keeps_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOAK_SEED", raising=False)
    ((_, *arguments),) = UNIT.command_lines(["tests/registry/test_pem.py"])
    assert arguments == ["--ignore=tests/e2e", "-n", "2", "--dist", "loadfile", "tests/registry/test_pem.py"]


def test_soak_seeds_hypothesis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOAK_SEED", "7")
    assert UNIT.command_lines()[0][-1] == "--hypothesis-seed=7"


@pytest.mark.parametrize("name", FULL_RUNS)
def test_a_run_with_full_counts_sets_its_variables(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {})
    command_line._set_full_counts(name, 7)
    assert os.environ == {"SOAK": "1", "SOAK_SEED": "7"} | ({"DRILLS": "1"} if name == "drills" else {})
    assert command_line._select([name]) == [*FULL_RUNS[name]]


@pytest.mark.parametrize("names", [["nix"], ["soak", "lint"]], ids=["unknown", "soak-with-another"])
def test_a_part_that_is_unknown_or_beside_soak_is_refused(names: list[str]) -> None:
    with pytest.raises(typer.BadParameter):
        command_line._select(names)


def test_parallel_parts_do_not_mix_their_output(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The first part ends after the second, which leaves a file when it ends."""
    ended = tmp_path / "ended"
    wait = f"[time.sleep(.01) for _ in iter(lambda: os.path.exists({str(ended)!r}), True)]"
    first = python("first", f"import os, time; print('one', flush=True); {wait}; print('two')")
    second = python("second", f"print('three', flush=True); open({str(ended)!r}, 'w')")
    results = Runner().run_stage([first, second])
    output = [line for line in capfd.readouterr().out.splitlines() if not line.startswith("$ ")]
    assert output == ["one", "two", "three"]
    assert all(result.passed and result.cpu_seconds > 0 for result in results)


def test_a_part_stops_after_a_failed_command(capfd: pytest.CaptureFixture[str]) -> None:
    (result,) = Runner().run_stage([python("lint", "exit(3)", "print('next')")])
    assert not result.passed
    assert "next" not in capfd.readouterr().out.splitlines()


def test_the_run_stops_after_a_failed_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [python(name, program) for name, program in (("a", ""), ("b", "exit(1)"), ("c", ""))]
    monkeypatch.setattr(command_line, "STAGES", tuple((part,) for part in parts))
    results = command_line._run_stages(Runner(), parts)
    assert [(result.part.name, result.passed) for result in results] == [("a", True), ("b", False)]


def test_ctrl_c_interrupts_a_part_once_and_waits_for_it() -> None:
    part = "try:\n print('up', flush=True); time.sleep(60)\nexcept KeyboardInterrupt:\n time.sleep(.2); print('down')"
    program = f"""
from tests import __main__
from tests.harness import parts
part = parts.Part("lint", "", (("python", "-c", {"import time" + chr(10) + part!r}),))
__main__.PARTS, __main__.STAGES = {{"lint": part, "types": part}}, ((part,), (part,))
__main__.main()
"""
    running = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert running.stdout
    while running.stdout.readline() != "up\n":
        assert running.poll() is None
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert output.splitlines()[0] == "down"


def test_the_summary_lists_parts_slowest_tests_and_repeat_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SOAK", "SOAK_SEED"):
        monkeypatch.delenv(variable, raising=False)
    phases = [
        Phase("tests/test_a.py::test_x", "call", 1.5, "failed"),
        Phase("tests/test_a.py::test_y", "setup", 70, "passed"),
    ]
    report = RunReport(75.5, {"passed": 1, "failed": 1}, phases, artifacts=[".dev/failures/x"])
    results = [Result(PARTS["lint"], False, 1, 1), Result(UNIT, False, 76, 130, report)]
    assert summary([PARTS["lint"], UNIT, E2E], results).splitlines() == [
        "part   result       real      CPU  tests",
        "lint   failed       0:01     0:01",
        "unit   failed       1:16     2:10  1 failed, 1 passed in 75.50s",
        "e2e    not run",
        "",
        "Slowest tests:",
        "    70.0 s  setup    tests/test_a.py::test_y",
        "     1.5 s  call     tests/test_a.py::test_x",
        "",
        "Repeat the failed tests:",
        "  make lint",
        '  make unit ARGS="tests/test_a.py::test_x"',
        "",
        "Logs and objects of failed tests:",
        "  .dev/failures/x",
    ]


def test_the_repeat_command_of_a_soak_has_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOAK", "1")
    monkeypatch.setenv("SOAK_SEED", "7")
    assert "  SOAK=1 SOAK_SEED=7 make unit" in summary([UNIT], [Result(UNIT, False, 1, 1)]).splitlines()


@pytest.mark.parametrize("name", ["a", "a b", "it's", 'a"b', "$HOME", "`id`", "a\\nb", "!x", "*"])
def test_the_repeat_command_passes_the_node_id_unchanged(name: str, tmp_path: Path) -> None:
    nodeid = f"tests/test_a.py::test_x[{name}]"
    report = RunReport(phases=[Phase(nodeid, "call", 0, "failed")])
    command = next(line for line in summary([UNIT], [Result(UNIT, False, 1, 1, report)]).splitlines() if "make" in line)
    (tmp_path / "Makefile").write_text("unit:\n\t@printf %s $(ARGS)\n")
    assert subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True).stdout == nodeid
