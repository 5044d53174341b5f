"""Print the result of a command: a table for people, JSON for programs. Neither holds a secret."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

PASSED, FAILED, ATTENTION = "[green]✓", "[red]✗", "[red]!"
"""Marks of a row, in rich's markup."""

WIDTH = 400
"""Width of a table with paths, in characters. It exceeds a terminal's, because a wrapped path cannot be copied."""


class Verdict(NamedTuple):
    """Rating of one value: a summary, and the remedy, which is "" if no action is needed."""

    summary: str
    remedy: str = ""


def print_report(title: str, subject: str, rows: Iterable[tuple[str, str, str]]) -> None:
    """Print a titled table. A row has a mark, a name and a summary. `subject` is the header of the names."""
    table = Table("", subject, "result", title=title, title_justify="left", box=None, pad_edge=False)
    for mark, name, summary in rows:
        table.add_row(mark, name, escape(summary))
    Console().print(table)


def print_rows(rows: Iterable[Sequence[str]]) -> None:
    """Print a table without a header and without wrapped rows."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for row in rows:
        table.add_row(*map(escape, row))
    if table.row_count:
        Console(width=WIDTH).print(table, highlight=False)


def print_remedies(remedies: Iterable[str]) -> None:
    """Print each distinct remedy on its own line, after an arrow."""
    for remedy in dict.fromkeys(remedies):
        print_line(f"→ {remedy}")


def print_line(text: str) -> None:
    """Print a line without wrapping or styling it."""
    Console().print(text, markup=False, highlight=False, soft_wrap=True)


def print_json(result: dict[str, Any]) -> None:
    """Print one JSON object. Dataclasses in it become objects."""
    print(json.dumps(result, default=asdict, indent=2))
