"""Tables of the benchmarks: how values, ratios and goals are printed."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple


class Outcome(NamedTuple):
    """The result of a benchmark: a page of Markdown, and functions that write its plots, by file name."""

    text: str
    plots: dict[str, Callable[[Path], None]]


def format_spread(values: Sequence[float], digits: int = 2, unit: str = "") -> str:
    """Return the median and the range."""
    middle, low, high = (f"{value:.{digits}f}" for value in (median(values), min(values), max(values)))
    return f"{middle}{unit} ({low} to {high})"


def format_seconds(values: Sequence[float]) -> str:
    return format_spread(values, digits=1, unit=" s")


def format_milliseconds(values: Sequence[float]) -> str:
    return format_spread([1000 * value for value in values], digits=0 if median(values) >= 0.1 else 1, unit=" ms")


def format_goal(values: Sequence[float], goal: float, goal_text: str = "") -> str:
    """Return the goal, and whether the median meets it."""
    return f"≤ {goal_text or goal}: {'met' if median(values) <= goal else 'not met'}"


def compute_ratios(values: Sequence[float], references: Sequence[float]) -> list[float]:
    """Return the ratio of each value to the reference of the same round."""
    return [value / reference for value, reference in zip(values, references, strict=True)]


def format_rows(*cells: Sequence[str]) -> str:
    """Return the rows of a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
