"""What the program itself takes: importing the component, and each registry more in the same program.

Against an engine that answers at once, in fresh processes, so nothing is counted that Pulumi or Kubernetes does.
"""

import ast
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.figures import Outcome, milliseconds, ratios, rows, spread, verdict
from bench.probe import fresh
from bench.registries import PROGRAM
from dev.console import step

COUNTS = (1, 10, 100)

IMPORT_GOAL = (1.1, 0.1)
"""Of `import registry`: so many times what it needs of others, and so many seconds more."""

EACH_GOAL = 0.02
"""Seconds that one more registry in a program may take."""

SDK, REGISTRY = "what `registry` imports of others", "`import registry`"

PAGE = """\
# The program itself, against an engine that answers at once

| import | time | goal |
|---|---|---|
{imports}

| program | time | as many ConfigMaps as it has resources | program, of that |
|---|---|---|---|
{programs}

| each registry more | time | as many ConfigMaps more | goal |
|---|---|---|---|
{more}

Median and range of {rounds} rounds, every value from a fresh process, all of them in turn; goals and ratios round by
round. Of others `registry` imports {modules}. A registry is {resources} resources, components among them.

Measured on {machine}.
"""

Times = dict[str, list[float]]
"""Seconds, one of each a round."""


def benchmark(rounds: int, machine: str) -> Outcome:
    """Measure, everything in turn."""
    modules = imported((PROGRAM / "registry").rglob("*.py"))
    times: Times = {}
    resources = 0
    for number in range(rounds + 1):
        with step(f"program, round {number} of {rounds}" if number else "program, a round to warm up"):
            resources = _round(times if number else {}, modules)
    return Outcome(table(times, modules, resources, machine), {})


def _round(times: Times, modules: Iterable[str]) -> int:
    """The answer is how many resources one registry has."""
    times.setdefault(SDK, []).append(_import_time(modules))
    times.setdefault(REGISTRY, []).append(_import_time(["registry"]))
    resources = 0
    for count in COUNTS:
        made = fresh("program", count)
        resources = made["resources"]
        times.setdefault(f"program {count}", []).append(made["seconds"])
        times.setdefault(f"bare {count}", []).append(fresh("bare", resources)["seconds"])
    return resources // COUNTS[-1]


def imported(files: Iterable[Path]) -> list[str]:
    """The modules that these files import when they are loaded, without their own and Python's."""
    found: set[str] = set()
    for file in files:
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    return sorted(name for name in found if name.partition(".")[0] not in sys.stdlib_module_names)


def _import_time(modules: Iterable[str]) -> float:
    """Seconds in a fresh process, without the start of Python."""
    program = f"import time; t = time.perf_counter(); import {', '.join(modules)}; print(time.perf_counter() - t)"
    argv = [sys.executable, "-c", program]
    return float(subprocess.run(argv, cwd=PROGRAM, check=True, stdout=subprocess.PIPE, text=True).stdout)


def each_more(times: Mapping[str, list[float]], kind: str, count: int) -> list[float]:
    """Seconds that one of `count` adds to the program of one."""
    pairs = zip(times[f"{kind} 1"], times[f"{kind} {count}"], strict=True)
    return [(many - one) / (count - 1) for one, many in pairs]


def table(times: Times, modules: Iterable[str], resources: int, machine: str) -> str:
    """Markdown."""
    return PAGE.format(
        imports=rows((SDK, milliseconds(times[SDK]), ""), _imports(times)),
        programs=rows(*(_program(times, count) for count in COUNTS)),
        more=rows(*(_more(times, count) for count in COUNTS[1:])),
        rounds=len(times[SDK]),
        modules=", ".join(f"`{module}`" for module in modules),
        resources=resources,
        machine=machine,
    )


def _imports(times: Times) -> tuple[str, str, str]:
    factor, extra = IMPORT_GOAL
    beyond = [ours - factor * sdk for ours, sdk in zip(times[REGISTRY], times[SDK], strict=True)]
    return (
        REGISTRY,
        milliseconds(times[REGISTRY]),
        verdict(beyond, extra, f"{factor} times that + {1000 * extra:.0f} ms"),
    )


def _program(times: Times, count: int) -> tuple[str, ...]:
    ours, bare = times[f"program {count}"], times[f"bare {count}"]
    title = "one registry" if count == 1 else f"{count} registries"
    return title, milliseconds(ours), milliseconds(bare), spread(ratios(ours, bare))


def _more(times: Times, count: int) -> tuple[str, ...]:
    ours, bare = (each_more(times, kind, count) for kind in ("program", "bare"))
    return f"of {count}", milliseconds(ours), milliseconds(bare), verdict(ours, EACH_GOAL, f"{1000 * EACH_GOAL:.0f} ms")
