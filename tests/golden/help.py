"""The texts of `--help`, rendered without colors at a fixed width."""

from collections.abc import Iterator
from unittest.mock import patch

import typer
import typer.main
from typer.testing import CliRunner

import bench.__main__
import dev.__main__
import ops.__main__
import tests.__main__

COLUMNS = 100

APPS = {
    "python -m ops": ops.__main__.app,
    "python -m dev": dev.__main__.app,
    "python -m bench": bench.__main__.app,
    "python -m tests": tests.__main__.app,
}
"""Command lines of the project, by their names."""


def read_help() -> Iterator[tuple[str, str]]:
    """Yield each command line with its help. A program is followed by its commands."""
    for program, app in APPS.items():
        yield program, _render(app, program)
        for command in getattr(typer.main.get_command(app), "commands", {}):
            yield f"{program} {command}", _render(app, program, command)


def _render(app: typer.Typer, program: str, *arguments: str) -> str:
    with (
        patch("typer.rich_utils.MAX_WIDTH", COLUMNS),
        patch("typer.rich_utils.COLOR_SYSTEM", None),
        patch("typer.rich_utils.FORCE_TERMINAL", False),
    ):
        result = CliRunner().invoke(app, [*arguments, "--help"], prog_name=program, terminal_width=COLUMNS)
    assert result.exit_code == 0, result.output
    return "\n".join(line.rstrip() for line in result.output.strip("\n").splitlines())
