"""The benchmark `preview`: `pulumi preview` of ten registries, of one registry and of a program without resources."""

import time
from functools import partial

from bench.lab import STATE_FOLDER, Lab
from bench.methods import PACKAGE, PulumiProject
from bench.plot import plot_dots
from bench.tables import Outcome, compute_ratios, format_rows, format_seconds, format_spread
from dev.console import step

PAGE = """\
# `pulumi preview` of empty stacks

| program | time | ratio to the program without resources | ratio to one registry |
|---|---|---|---|
{rows}

Each registry after the first adds {addition}. That is {ratio} times the time that the first registry adds.

Median and range of {rounds} rounds. The programs take turns on one cluster, after an unmeasured round. Ratios compare
the times of a round. The stacks are empty, so every resource would be created. The registries share only a node.

Measured on {machine}.
"""


def _project(title: str, registry_count: int) -> PulumiProject:
    name = f"preview-{registry_count}"
    program = PACKAGE / ("registries.py" if registry_count else "empty_program.py")
    return PulumiProject(title, STATE_FOLDER / name, name, program, {"registries": registry_count})


NO_RESOURCES = _project("a program without resources", 0)
ONE_REGISTRY = _project("one registry", 1)
TEN_REGISTRIES = _project("ten registries", 10)
PROJECTS = (NO_RESOURCES, ONE_REGISTRY, TEN_REGISTRIES)

Times = dict[str, list[float]]
"""Seconds by the title of the project, with one value for each round."""


def benchmark(lab: Lab, rounds: int, machine: str) -> Outcome:
    """Measure the projects in turn, after an unmeasured round. Return the page and its plot."""
    for project in PROJECTS:
        project.prepare(lab)
    with step("preview, unmeasured first round"):
        _measure_round(lab, {})
    times: Times = {}
    for number in range(1, rounds + 1):
        with step(f"preview, round {number} of {rounds}"):
            _measure_round(lab, times)
    plot = partial(plot_dots, times, {TEN_REGISTRIES.title}, "`pulumi preview` of empty stacks")
    return Outcome(render_page(times, machine), {"preview.png": plot})


def _measure_round(lab: Lab, times: Times) -> None:
    for project in PROJECTS:
        start = time.monotonic()
        project.pulumi(lab, "preview")
        times.setdefault(project.title, []).append(time.monotonic() - start)


def render_page(times: Times, machine: str) -> str:
    """Return the page in Markdown."""
    empty, one, ten = (times[project.title] for project in PROJECTS)
    first = [with_one - with_none for with_none, with_one in zip(empty, one, strict=True)]
    additional = [(with_ten - with_one) / 9 for with_one, with_ten in zip(one, ten, strict=True)]
    return PAGE.format(
        rows=format_rows(
            (NO_RESOURCES.title, format_seconds(empty), "", ""),
            (ONE_REGISTRY.title, format_seconds(one), format_spread(compute_ratios(one, empty)), ""),
            (
                TEN_REGISTRIES.title,
                format_seconds(ten),
                format_spread(compute_ratios(ten, empty)),
                format_spread(compute_ratios(ten, one)),
            ),
        ),
        addition=format_spread(additional, unit=" s"),
        ratio=format_spread(compute_ratios(additional, first)),
        rounds=len(empty),
        machine=machine,
    )
