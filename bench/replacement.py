"""The benchmark `replacement`: `pulumi up` that replaces the Pod, with no images and with many."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.lab import STATE_FOLDER, Lab
from bench.methods import PACKAGE, PulumiProject
from bench.ownership_program import storage_path
from bench.plot import plot_dots
from bench.tables import Outcome, compute_ratios, format_goal, format_rows, format_seconds, format_spread
from dev.console import step

BLOB_COUNTS = (0, 25_000, 256_000)
"""Numbers of stored blobs. Every number has its own stack."""

POLICY = "default_ownership"
"""Config key of the program for `fsGroupChangePolicy`: 0 for the component's, 1 for Kubernetes' default."""

GOAL = 1.1
"""Highest median ratio of the time with blobs to the time without that meets the goal."""

PAGE = """\
# `pulumi up` that replaces the Pod

| stored blobs | `pulumi up` | ratio to no blobs | goal | with Kubernetes' default | ratio to no blobs |
|---|---|---|---|---|---|
{rows}

Median and range of {rounds} rounds. The stacks take turns on one cluster, after an unmeasured round. Ratios compare the
times of a round. A blob is a folder with a file, on a local volume of a registry that runs as user 65532. Each
`pulumi up` deletes the Pod, creates it with the other policy, and waits until it is ready. The component sets
`fsGroupChangePolicy: OnRootMismatch`. With Kubernetes' default, `Always`, the kubelet changes the ownership of every
file before the Pod starts.

Measured on {machine}.
"""

Times = dict[tuple[int, bool], list[float]]
"""Seconds by the number of blobs, and by whether Kubernetes' default applies, with one value for each round."""


def _project(blobs: int) -> PulumiProject:
    name = f"blobs-{blobs}"
    # The first measured `up` changes the policy, like every later one.
    return PulumiProject(f"{blobs:,} blobs", STATE_FOLDER / name, name, PACKAGE / "ownership_program.py", {POLICY: 1})


PROJECTS = {blobs: _project(blobs) for blobs in BLOB_COUNTS}


def benchmark(lab: Lab, rounds: int, machine: str) -> Outcome:
    """Measure the stacks in turn."""
    times: Times = {}
    with _deployed(lab):
        for number in range(rounds + 1):
            with step(f"replacement, round {number} of {rounds}" if number else "replacement, unmeasured first round"):
                _measure_round(lab, times if number else {})
    return Outcome(render_page(times, machine), {"replacement.png": partial(plot, times)})


@contextmanager
def _deployed(lab: Lab) -> Iterator[None]:
    """Deploy the stacks with their blobs, and destroy them after the block. An error leaves them to the lab's end."""
    for blobs, project in PROJECTS.items():
        with step(f"{project.title} stored and deployed"):
            store_blobs(lab.cluster.path("k8s-master", storage_path(project.stack)), blobs)
            project.prepare(lab)
            _run(lab, project, "up", "--yes", "--skip-preview")
    yield
    for project in PROJECTS.values():
        _run(lab, project, "destroy", "--yes", "--skip-preview")


def store_blobs(folder: Path, count: int) -> None:
    """Create blobs as the registry stores them: one folder with one file for every blob, in 256 groups."""
    folder.mkdir(parents=True)
    for number in range(count):
        blob = folder / f"docker/registry/v2/blobs/sha256/{number % 256:02x}/{number:064x}"
        blob.mkdir(parents=True)
        (blob / "data").touch()


def _measure_round(lab: Lab, times: Times) -> None:
    for blobs, project in PROJECTS.items():
        for default in (False, True):
            _run(lab, project, "config", "set", POLICY, str(int(default)))
            start = time.monotonic()
            _run(lab, project, "up", "--yes", "--skip-preview")
            times.setdefault((blobs, default), []).append(time.monotonic() - start)


def _run(lab: Lab, project: PulumiProject, *arguments: str) -> None:
    """Run `pulumi` with the stack's own config. `PulumiProject.pulumi` uses that of the stack `dev`."""
    lab.run("pulumi", "--cwd", str(project.folder), *arguments, "--stack", project.stack)


def render_page(times: Times, machine: str) -> str:
    """Return the page in Markdown."""
    return PAGE.format(
        rows=format_rows(*(_row(blobs, times) for blobs in BLOB_COUNTS)), rounds=len(times[0, False]), machine=machine
    )


def _row(blobs: int, times: Times) -> tuple[str, ...]:
    component, default = times[blobs, False], times[blobs, True]
    if not blobs:
        return "0", format_seconds(component), "", "", format_seconds(default), ""
    ratios, default_ratios = compute_ratios(component, times[0, False]), compute_ratios(default, times[0, True])
    cells = (format_seconds(component), format_spread(ratios), format_goal(ratios, GOAL), format_seconds(default))
    return f"{blobs:,}", *cells, format_spread(default_ratios)


def plot(times: Times, file: Path) -> None:
    """Plot the times, those of the component in blue."""
    titles = {key: f"{key[0]:,} blobs{', default policy' if key[1] else ''}" for key in times}
    highlighted = {title for (_, default), title in titles.items() if not default}
    by_title = {titles[key]: values for key, values in times.items()}
    plot_dots(by_title, highlighted, "`pulumi up` that replaces the Pod", file)
