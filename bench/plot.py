"""Measured times as pictures."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.fake_engine import Answered
from bench.figures import seconds
from bench.first_push import Times
from bench.ways import UP

OURS, OTHERS = "#1f5fa8", "#8a8a8a"


def draw(times: Times, file: Path) -> None:
    """The ways to the first push, and what is beside them."""
    dots(times.pushed | times.beside, {UP.title}, "From a ready cluster to the first push", file)


def dots(times: Mapping[str, Sequence[float]], ours: Collection[str], title: str, file: Path) -> None:
    """One row a title, a dot a run, a bar at the median: left is better."""
    figure, axes = _rows(list(times), title)
    end = max(map(max, times.values()))
    for row, (name, values) in enumerate(times.items()):
        color = OURS if name in ours else OTHERS
        axes.plot(values, [row] * len(values), "o", color=color, alpha=0.45, markersize=6, markeredgewidth=0)
        axes.vlines(median(values), row - 0.3, row + 0.3, color=color, linewidth=2.5)
        axes.text(max(values) + 0.03 * end, row, seconds(values), va="center", color=color)
    axes.set_xlim(0, 1.25 * end)
    axes.set_xlabel("seconds")
    figure.savefig(file, dpi=150, metadata={"Software": None})


def timeline(requests: Sequence[Answered], latency: float, chained: Collection[str], file: Path) -> None:
    """One row a resource that took a latency, from its request to its answer; `chained` stand out."""
    waited = sorted((each for each in requests if each.took_latency), key=lambda each: each.asked)
    began = min(each.asked for each in requests)
    figure, axes = _rows([each.name for each in waited], "From the request to the answer, longest chains in blue")
    for row, each in enumerate(waited):
        width = (each.done - each.asked) / latency
        axes.barh(row, width, 0.6, (each.asked - began) / latency, color=OURS if each.name in chained else OTHERS)
    axes.set_xlim(0)
    axes.set_xlabel("latencies")
    figure.savefig(file, dpi=150, metadata={"Software": None})


def _rows(names: Sequence[str], title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, 0.35 * len(names) + 1.5), layout="constrained")
    axes = figure.subplots()
    axes.set_yticks(range(len(names)), [name.replace("`", "") for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(title.replace("`", ""), loc="left", fontsize="medium")
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure, axes
