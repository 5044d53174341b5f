"""Measured values in words: what every table of the benchmarks has in common."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple


class Outcome(NamedTuple):
    """What a benchmark has to show: a page of Markdown, and pictures by the name of their file."""

    text: str
    pictures: dict[str, Callable[[Path], None]]


def spread(values: Sequence[float], digits: int = 2, unit: str = "") -> str:
    """Median and range."""
    middle, low, high = (f"{value:.{digits}f}" for value in (median(values), min(values), max(values)))
    return f"{middle}{unit} ({low} to {high})"


def seconds(values: Sequence[float]) -> str:
    return spread(values, digits=1, unit=" s")


def milliseconds(values: Sequence[float]) -> str:
    return spread([1000 * value for value in values], digits=0 if median(values) >= 0.1 else 1, unit=" ms")


def verdict(values: Sequence[float], goal: float, said: str = "") -> str:
    """The goal, as `said`, and whether the median meets it."""
    return f"≤ {said or goal}: {'met' if median(values) <= goal else 'not met'}"


def ratios(ones: Sequence[float], others: Sequence[float]) -> list[float]:
    """The ones as a part of the others, round by round."""
    return [one / other for one, other in zip(ones, others, strict=True)]


def rows(*cells: Sequence[str]) -> str:
    """Rows of a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
