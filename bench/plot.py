"""The times as a picture: a dot a run, a bar at the median."""

from pathlib import Path
from statistics import median

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.first_push import Times
from bench.report import seconds
from bench.ways import UP

OURS, OTHERS = "#1f5fa8", "#8a8a8a"


def draw(times: Times, file: Path) -> None:
    """One row a way, the quickest way to read it: left is better."""
    rows = times.pushed | times.beside
    figure = Figure(figsize=(8, 0.55 * len(rows) + 1.1), layout="constrained")
    axes = figure.subplots()
    end = max(map(max, rows.values()))
    for row, (title, values) in enumerate(rows.items()):
        color = OURS if title == UP.title else OTHERS
        axes.plot(values, [row] * len(values), "o", color=color, alpha=0.45, markersize=6, markeredgewidth=0)
        axes.vlines(median(values), row - 0.3, row + 0.3, color=color, linewidth=2.5)
        axes.text(max(values) + 0.03 * end, row, seconds(values), va="center", color=color)
    axes.set_yticks(range(len(rows)), [title.replace("`", "") for title in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 1.25 * end)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("seconds")
    axes.set_title("From a ready cluster to the first push", loc="left", fontsize="medium")
    axes.tick_params(length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(file, dpi=150, metadata={"Software": None})
