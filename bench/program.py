"""The benchmark `program`: the time of Python alone, to import the component and to create registries.

It uses an engine that answers at once, so the times contain no work of Pulumi or Kubernetes.
"""

import ast
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.measure import measure_in_new_process
from bench.registries import PROJECT
from bench.tables import Outcome, compute_ratios, format_goal, format_milliseconds, format_rows, format_spread
from dev.console import step

COUNTS = (1, 10, 100)

IMPORT_GOAL = (1.1, 0.1)
"""Longest time of `import registry` that meets the goal: a factor for the time of its dependencies, and seconds."""

ADDITIONAL_GOAL = 0.02
"""Most seconds of each additional registry in a program that meet the goal."""

IMPORT_SCRIPT = "import time; t = time.perf_counter(); import {modules}; print(time.perf_counter() - t)"

DEPENDENCIES, REGISTRY = "the dependencies of `registry`", "`import registry`"

PAGE = """\
# The time of Python alone, with an engine that answers at once

| import | time | goal |
|---|---|---|
{imports}

| program | time | the same number of ConfigMaps | ratio of the two |
|---|---|---|---|
{programs}

| an additional registry | time | the same number of ConfigMaps | goal |
|---|---|---|---|
{additional}

Median and range of {rounds} rounds. Each value is measured in a new process, and all values take turns. Goals and
ratios compare the times of a round. The dependencies of `registry` are {modules}. A registry has {resources} resources,
including components.

Measured on {machine}.
"""

Times = dict[str, list[float]]
"""Seconds by title, with one value for each round."""


def benchmark(rounds: int, machine: str) -> Outcome:
    """Measure the imports and the programs in turn."""
    modules = find_dependencies((PROJECT / "registry").rglob("*.py"))
    times: Times = {}
    resources = 0
    for number in range(rounds + 1):
        with step(f"program, round {number} of {rounds}" if number else "program, unmeasured first round"):
            resources = _measure_round(times if number else {}, modules)
    return Outcome(render_page(times, modules, resources, machine), {})


def _measure_round(times: Times, modules: Iterable[str]) -> int:
    """Measure a round. Return the number of resources of one registry."""
    times.setdefault(DEPENDENCIES, []).append(_import_time(modules))
    times.setdefault(REGISTRY, []).append(_import_time(["registry"]))
    resources = 0
    for count in COUNTS:
        program = measure_in_new_process("program", count)
        resources = program["resources"]
        config_maps = measure_in_new_process("config_maps", resources)
        times.setdefault(f"program {count}", []).append(program["seconds"])
        times.setdefault(f"config_maps {count}", []).append(config_maps["seconds"])
    return resources // COUNTS[-1]


def find_dependencies(files: Iterable[Path]) -> list[str]:
    """Return the modules that the files import at the top level, without relative imports and the standard library."""
    modules: set[str] = set()
    for file in files:
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module)
    return sorted(name for name in modules if name.partition(".")[0] not in sys.stdlib_module_names)


def _import_time(modules: Iterable[str]) -> float:
    """Return the seconds of an import in a new process, without the start of Python."""
    argv = [sys.executable, "-c", IMPORT_SCRIPT.format(modules=", ".join(modules))]
    return float(subprocess.run(argv, cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True).stdout)


def compute_additional(times: Mapping[str, list[float]], kind: str, count: int) -> list[float]:
    """Return the seconds that each registry or ConfigMap adds, in a program with `count` of them."""
    pairs = zip(times[f"{kind} 1"], times[f"{kind} {count}"], strict=True)
    return [(many - one) / (count - 1) for one, many in pairs]


def render_page(times: Times, modules: Iterable[str], resources: int, machine: str) -> str:
    """Return the page in Markdown."""
    return PAGE.format(
        imports=format_rows((DEPENDENCIES, format_milliseconds(times[DEPENDENCIES]), ""), _import_row(times)),
        programs=format_rows(*(_program_row(times, count) for count in COUNTS)),
        additional=format_rows(*(_additional_row(times, count) for count in COUNTS[1:])),
        rounds=len(times[DEPENDENCIES]),
        modules=", ".join(f"`{module}`" for module in modules),
        resources=resources,
        machine=machine,
    )


def _import_row(times: Times) -> tuple[str, str, str]:
    factor, extra = IMPORT_GOAL
    pairs = zip(times[REGISTRY], times[DEPENDENCIES], strict=True)
    own = [registry - factor * dependencies for registry, dependencies in pairs]
    return (
        REGISTRY,
        format_milliseconds(times[REGISTRY]),
        format_goal(own, extra, f"{factor} times the dependencies + {1000 * extra:.0f} ms"),
    )


def _program_row(times: Times, count: int) -> tuple[str, ...]:
    program, config_maps = times[f"program {count}"], times[f"config_maps {count}"]
    title = "one registry" if count == 1 else f"{count} registries"
    ratios = compute_ratios(program, config_maps)
    return title, format_milliseconds(program), format_milliseconds(config_maps), format_spread(ratios)


def _additional_row(times: Times, count: int) -> tuple[str, ...]:
    program, config_maps = (compute_additional(times, kind, count) for kind in ("program", "config_maps"))
    return (
        f"of {count}",
        format_milliseconds(program),
        format_milliseconds(config_maps),
        format_goal(program, ADDITIONAL_GOAL, f"{1000 * ADDITIONAL_GOAL:.0f} ms"),
    )
