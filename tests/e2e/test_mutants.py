"""The canary sings: without any one of the protections of a secret, `test_leaks.py` fails.

It needs no cluster, but minutes of two cores.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dev.environment import PROJECT
from tests import mutants
from tests.e2e.lab import SOAK
from tests.mutants import Mutant

pytestmark = pytest.mark.e2e

PACKAGE = PROJECT / "registry"
CANARY = ("__init__", "canary", "conftest", "issuing", "test_leaks", "test_validation")

PROTECTIONS = 43
"""Protections in the package, as ADR 16 counts them. `make test` removes one of each kind, a soak all."""

FAILED, PASSED = 1, 0
"""Exit codes of pytest; any other one means that the tests did not even run."""


def copy(folder: Path, mutant: Mutant | None) -> Path:
    """The package and its canary in `folder`, without the protection."""
    shutil.copytree(PACKAGE, folder / "registry", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tests").mkdir()
    for name in CANARY:
        shutil.copy(PROJECT / "tests" / f"{name}.py", folder / "tests")
    shutil.copy(PROJECT / "pyproject.toml", folder)
    if mutant:
        (folder / "registry" / mutant.file).write_text(mutant.text)
    return folder


def test_without_any_one_protection_the_canary_fails(tmp_path: Path) -> None:
    protections = mutants.mutants_of(PACKAGE)
    assert len(protections) >= PROTECTIONS
    found = [None, *(protections if SOAK else mutants.one_of_each_kind(protections))]
    copies = {str(copy(tmp_path / str(number), mutant)): mutant for number, mutant in enumerate(found)}
    judged = subprocess.run(
        [sys.executable, mutants.__file__, *copies], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    codes = {copies[line.split()[0]]: int(line.split()[1]) for line in judged.stdout.splitlines()}
    assert codes.pop(None) == PASSED, (tmp_path / "0" / "said").read_text()
    assert {str(mutant): code for mutant, code in codes.items() if code != FAILED} == {}
    assert len(codes) == len(found) - 1
