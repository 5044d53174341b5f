"""The parts of the tests and their commands: the one table behind `python -m tests`, make and CI."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.cluster import inotify

ROOT = Path(__file__).resolve().parent.parent.parent

MAX_LABS = 3
"""Number of clusters that the end-to-end tests use in parallel. They keep two cores busy."""

Command = tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """A part of the tests. Its commands run one after another, until one fails.

    pytest arguments that name files replace the directories in the command of a part.
    """

    name: str
    description: str
    commands: tuple[Command, ...]

    @property
    def runs_pytest(self) -> bool:
        return self.commands[0][0] == "pytest"

    def command_lines(self, pytest_arguments: Sequence[str] = ()) -> list[list[str]]:
        """Return the commands with the paths of their programs, which are those of the running Python environment."""
        lines = [self._with_arguments(command, pytest_arguments) for command in self.commands]
        programs = Path(sys.executable).parent
        return [[str(programs / program), *arguments] for program, *arguments in lines]

    def _with_arguments(self, command: Command, pytest_arguments: Sequence[str]) -> list[str]:
        if not self.runs_pytest:
            return list(command)
        line = [word.format(labs=_labs()) for word in command]
        if any(_is_path(argument) for argument in pytest_arguments):
            line = [word for word in line if not _is_path(word)]
        if seed := os.environ.get("SOAK_SEED"):
            line.append(f"--hypothesis-seed={seed}")
        return [*line, *pytest_arguments]


def _labs() -> str:
    """Return the variable LABS, else MAX_LABS, or fewer if Linux has no inotify instances for them.

    One more cluster, which a test of `down` starts, needs instances too.
    """
    free = (MAX_LABS + 1) * inotify.INSTANCES
    if not inotify.can_raise_limit():
        free = inotify.count_free(free)
    return os.environ.get("LABS") or str(max(1, min(MAX_LABS, free // inotify.INSTANCES - 1)))


def _is_path(argument: str) -> bool:
    """Return whether a pytest argument selects tests by their file, as in `tests/registry/test_pem.py::test_x`."""
    return "/" in argument and (ROOT / argument.partition("::")[0]).exists()


LINT = Part(
    "lint",
    "format, style, language and spelling",
    (
        ("ruff", "format", "--check", "."),
        ("ruff", "check", "."),
        ("python", "-m", "tests.harness.language"),
        ("codespell",),
    ),
)
TYPES = Part("types", "types of all packages", (("mypy",),))
UNIT = Part(
    "unit",
    "offline tests of all rules and the resource graph",
    (("pytest", "--ignore=tests/e2e", "-n", "2", "--dist", "loadfile"),),
)
E2E = Part(
    "e2e",
    "tests with a real engine, Kubernetes and Docker engine; needs root",
    (("pytest", "-m", "e2e", "tests/e2e", "-n", "{labs}", "--no-loadscope-reorder"),),
)

DRILLS = Part(
    "drills",
    "faults under load, with full counts; needs root",
    (("pytest", "-m", "drill", "tests/e2e", "-n", "{labs}", "--no-loadscope-reorder"),),
)

PARTS = {part.name: part for part in (LINT, TYPES, UNIT, E2E)}

STAGES = ((LINT,), (UNIT, TYPES), (E2E,), (DRILLS,))
"""Parts in the order of a run. The parts of one stage run in parallel, and the first prints as it runs."""

FULL_RUNS = {"soak": (UNIT, E2E), "drills": (DRILLS,)}
"""Parts of the runs with full counts and a new seed, by the name of the run."""
