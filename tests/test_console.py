"""A person sees one line per step; a program that reads stdout sees none of it."""

import re

import pytest

from dev import console


def test_a_step_prints_one_line_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    with console.step("kube 1.36.3 built"):
        pass

    assert re.fullmatch(r"  ✓ kube 1\.36\.3 built +\d+\.\d s\n", capsys.readouterr().err)


def test_a_step_that_fails_is_crossed_and_its_error_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), console.step("impossible"):
        _ = 1 / 0

    assert capsys.readouterr().err.startswith("  ✗ impossible")


def test_stdout_stays_free_for_what_another_program_reads(capsys: pytest.CaptureFixture[str]) -> None:
    with console.step("outer"), console.step("inner", total=2) as inner:
        inner.advance()
        inner.note("a word on the way")

    assert capsys.readouterr().out == ""


def test_a_bar_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with console.step("many", total=1000) as many:
        for _ in range(1000):
            many.advance()

    assert capsys.readouterr().err.count("\n") == 1


def test_a_long_step_says_now_and_then_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "SILENCE", 0)

    with console.step("long") as long:
        long.total = 1893
        long.advance(412)

    assert "  … long 412/1893\n" in capsys.readouterr().err


def test_a_stage_is_named_before_its_program_speaks_and_timed_after(capsys: pytest.CaptureFixture[str]) -> None:
    with console.stage("pulumi up"):
        assert capsys.readouterr().err == "  … pulumi up\n"

    assert re.fullmatch(r"  ✓ pulumi up +\d+\.\d s\n", capsys.readouterr().err)


def test_a_stage_leaves_the_terminal_to_its_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_bars", None)  # nothing may be drawn

    with console.stage("pulumi up"):
        pass


def test_a_title_is_printed_as_it_is_even_if_it_looks_like_markup(capsys: pytest.CaptureFixture[str]) -> None:
    with console.step("[red] is no colour"):
        pass

    assert "[red] is no colour" in capsys.readouterr().err
