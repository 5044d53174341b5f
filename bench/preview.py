"""`pulumi preview` of ten registries in one program, beside that of one and of a program that makes nothing."""

import time
from functools import partial

from bench.figures import Outcome, ratios, rows, seconds, spread
from bench.lab import FOLDER, Lab
from bench.plot import dots
from bench.ways import HERE, Variant
from dev.console import step

PAGE = """\
# `pulumi preview`, of nothing that is there yet

| program | time | of the program that makes nothing | of one registry |
|---|---|---|---|
{rows}

Each of the nine more adds {each}, {part} of what the first one adds to the program that makes nothing.

Median and range of {rounds} rounds, the programs in turn on the same cluster after a round to warm up; ratios round by
round. The stacks are empty, so every resource is to be created; the registries share a node and nothing else.

Measured on {machine}.
"""


def _program(title: str, registries: int) -> Variant:
    name = f"preview-{registries}"
    program = HERE / ("registries.py" if registries else "nothing.py")
    return Variant(title, FOLDER / name, name, program, {"registries": registries})


NOTHING = _program("a program that makes nothing", 0)
ONE = _program("one registry", 1)
TEN = _program("ten registries", 10)
PROGRAMS = (NOTHING, ONE, TEN)

Times = dict[str, list[float]]
"""Seconds by the program's title, one of each a round."""


def benchmark(lab: Lab, rounds: int, machine: str) -> Outcome:
    """Measure, the programs in turn."""
    for program in PROGRAMS:
        program.prepare(lab)
    times: Times = {}
    for number in range(rounds + 1):
        with step(f"preview, round {number} of {rounds}" if number else "preview, a round to warm up"):
            _round(lab, times if number else {})
    picture = partial(dots, times, {TEN.title}, "`pulumi preview`, of nothing that is there yet")
    return Outcome(table(times, machine), {"preview.png": picture})


def _round(lab: Lab, times: Times) -> None:
    for program in PROGRAMS:
        began = time.monotonic()
        program.pulumi(lab, "preview")
        times.setdefault(program.title, []).append(time.monotonic() - began)


def table(times: Times, machine: str) -> str:
    """Markdown."""
    nothing, one, ten = (times[program.title] for program in PROGRAMS)
    first = [mine - its for mine, its in zip(one, nothing, strict=True)]
    each = [(many - single) / 9 for many, single in zip(ten, one, strict=True)]
    return PAGE.format(
        rows=rows(
            (NOTHING.title, seconds(nothing), "", ""),
            (ONE.title, seconds(one), spread(ratios(one, nothing)), ""),
            (TEN.title, seconds(ten), spread(ratios(ten, nothing)), spread(ratios(ten, one))),
        ),
        each=spread(each, unit=" s"),
        part=spread(ratios(each, first)),
        rounds=len(nothing),
        machine=machine,
    )
