"""Plots of the benchmarks."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.fake_engine import Request
from bench.first_push import Times
from bench.methods import PULUMI_UP
from bench.tables import format_seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HIGHLIGHT, PLAIN = "#1f5fa8", "#8a8a8a"


def plot_first_push(times: Times, file: Path) -> None:
    """Plot the times of the methods and of the other commands."""
    plot_dots(times.pushed | times.other, {PULUMI_UP.title}, "From a ready cluster to the first push", file)


def plot_dots(
    values: Mapping[str, Sequence[float]],
    highlighted: Collection[str],
    title: str,
    file: Path,
    *,
    unit: str = "seconds",
    format_values: Callable[[Sequence[float]], str] = format_seconds,
) -> None:
    """Plot a row for each key of `values`, with a dot for each round and a bar at the median. Lower is better."""
    figure, axes = _create_figure(list(values), title)
    end = max(map(max, values.values()))
    for row, (name, rounds) in enumerate(values.items()):
        color = HIGHLIGHT if name in highlighted else PLAIN
        axes.plot(rounds, [row] * len(rounds), "o", color=color, alpha=0.45, markersize=6, markeredgewidth=0)
        axes.vlines(median(rounds), row - 0.3, row + 0.3, color=color, linewidth=2.5)
        axes.text(max(rounds) + 0.03 * end, row, format_values(rounds), va="center", color=color)
    axes.set_xlim(0, 1.35 * end)
    axes.set_xlabel(unit)
    figure.savefig(file, dpi=150, metadata={"Software": None})  # no version, so that equal plots are equal files


def plot_timeline(requests: Sequence[Request], latency: float, highlighted: Collection[str], file: Path) -> None:
    """Plot a row for each resource with latency, from its request to its response, in multiples of `latency` seconds.

    The resources in `highlighted` are blue.
    """
    delayed = sorted((request for request in requests if request.has_latency), key=lambda each: each.requested_at)
    start = min(request.requested_at for request in requests)
    title = "From the request to the response, longest chains in blue"
    figure, axes = _create_figure([request.name for request in delayed], title)
    for row, request in enumerate(delayed):
        left, width = request.requested_at - start, request.answered_at - request.requested_at
        color = HIGHLIGHT if request.name in highlighted else PLAIN
        axes.barh(row, width / latency, 0.6, left / latency, color=color)
    axes.set_xlim(0)
    axes.set_xlabel("time in multiples of the latency")
    figure.savefig(file, dpi=150, metadata={"Software": None})  # no version, so that equal plots are equal files


def _create_figure(names: Sequence[str], title: str) -> "tuple[Figure, Axes]":
    """Return a figure with a row for each name, and its axes."""
    from matplotlib.figure import Figure  # slow, and needed only at the end of a benchmark
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 0.35 * len(names) + 1.5), layout="constrained")
    axes = figure.subplots()
    axes.set_yticks(range(len(names)), [name.replace("`", "") for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(title.replace("`", ""), loc="left", fontsize="medium")
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure, axes
