"""A report as a table for people or as JSON for programs. No row holds a secret."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .judgement import Verdict


class Row(NamedTuple):
    """What the table and the JSON say of one thing. `facts` is what they say it by, if that could be found out."""

    key: str
    title: str
    facts: Any
    verdict: Verdict


def show(rows: Iterable[Row], about: Mapping[str, str]) -> bool:
    """Print a row each, and the remedies below; whether nothing needs a person."""
    title = f"{about['endpoint']} ({about['stack'] or 'no stack'})"
    table = Table("", "what", "seen", title=title, title_justify="left", box=None, pad_edge=False)
    made = list(rows)
    for row in made:
        table.add_row("[red]!" if row.verdict.remedy else "[green]✓", row.title, escape(row.verdict.seen))
    console = Console()
    console.print(table)
    for row in made:
        if row.verdict.remedy:
            console.print(f"→ {row.title}: {row.verdict.remedy}", markup=False, highlight=False, soft_wrap=True)
    return not any(row.verdict.remedy for row in made)


def show_json(rows: Iterable[Row], about: Mapping[str, str]) -> bool:
    """Print one object with an object for each row; whether nothing needs a person."""
    made = list(rows)
    healthy = not any(row.verdict.remedy for row in made)
    said = {row.key: {**row.verdict._asdict(), "facts": row.facts} for row in made}
    print(json.dumps({**about, "healthy": healthy, **said}, default=asdict, indent=2))
    return healthy
