"""The tables of rules at the end of docs/policy.md."""

from collections.abc import Iterator
from pathlib import Path

from policy.rule import Rule
from policy.rules import GROUPS

PAGE = Path(__file__).parents[2] / "docs/policy.md"

MARK = "<!-- `make schema` writes the lines below -->\n"
"""Line between the hand-written part of the page and the tables."""


def page() -> str:
    """Return the whole page: the unchanged hand-written part, and the tables."""
    return "".join([PAGE.read_text().partition(MARK)[0], MARK, *_tables()])


def _tables() -> Iterator[str]:
    for title, rules in GROUPS.items():
        yield f"\n### {title}\n\n| rule | what it requires | level | config |\n|---|---|---|---|\n"
        yield from map(_row, rules)


def _row(rule: Rule) -> str:
    properties = ", ".join(f"`{key}`" for key in rule.config)
    return f"| `{rule.name}` | {rule.description} | {rule.level} | {properties} |\n"
