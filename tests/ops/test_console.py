"""The progress output: one line on stderr for each step."""

import re

import pytest

from dev import console


@pytest.fixture(autouse=True)
def plain_console(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the console print plain lines, even if the variable FORCE_COLOR is set."""
    monkeypatch.setattr(console._console, "_force_terminal", False)
    monkeypatch.setattr(console._console, "_color_system", None)


def test_a_step_prints_one_line_with_its_time_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    # rich would hide [red] if it took the title for markup.
    with console.step("[red] 1000 units", total=1000) as current:
        for _ in range(1000):
            current.advance()

    output = capsys.readouterr()
    assert re.fullmatch(r"  ✓ \[red\] 1000 units +\d+\.\d s\n", output.err)
    assert output.out == ""


def test_a_failed_step_is_marked_and_its_error_is_raised(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), console.step("outer"), console.step("inner"):
        _ = 1 / 0

    assert [line.split()[:2] for line in capsys.readouterr().err.splitlines()] == [["✗", "inner"], ["✗", "outer"]]


def test_a_long_step_prints_its_progress(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "REPORT_INTERVAL", 0)

    with console.step("long") as current:
        current.total = 1893
        current.advance(412)

    assert "  … long 412/1893\n" in capsys.readouterr().err


def test_a_stage_prints_its_title_first_and_draws_no_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every use of the bars raises AttributeError now.
    monkeypatch.setattr(console, "_bars", None)

    with console.stage("pulumi up"):
        assert capsys.readouterr().err == "  … pulumi up\n"

    assert re.fullmatch(r"  ✓ pulumi up +\d+\.\d s\n", capsys.readouterr().err)
