"""Remove each protection of a secret from the package: `tests/registry/test_leaks.py` must then fail.

It is no offline test, because it takes minutes on two cores. It needs no cluster.
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
CANARY_MODULES = (
    "__init__",
    "canary",
    "conftest",
    "examples",
    "file_variants",
    "issuing",
    "registry/__init__",
    "registry/test_leaks",
)
"""Modules that `tests/registry/test_leaks.py` needs in a copy, and the test itself."""

LEAST_PROTECTIONS = 43
"""Minimum number of protections in the package. `make test` removes one of each kind, `make soak` removes all."""

FAILED, PASSED = 1, 0
"""Exit codes of pytest. Any other code means that the tests did not run."""


def copy_package(folder: Path, mutant: Mutant | None) -> Path:
    """Copy the package and its leak test to `folder`. If there is a mutant, the copy lacks its protection."""
    shutil.copytree(PACKAGE, folder / "registry", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tests/registry").mkdir(parents=True)
    for name in CANARY_MODULES:
        shutil.copy(PROJECT / f"tests/{name}.py", folder / f"tests/{name}.py")
    shutil.copy(PROJECT / "pyproject.toml", folder)
    if mutant:
        (folder / "registry" / mutant.file).write_text(mutant.text)
    return folder


def test_the_leak_test_fails_if_any_protection_is_removed(tmp_path: Path) -> None:
    protections = mutants.mutants_of(PACKAGE)
    assert len(protections) >= LEAST_PROTECTIONS
    tested = [None, *(protections if SOAK else mutants.one_of_each_kind(protections))]  # None is the unchanged package
    mutant_by_folder = {
        str(copy_package(tmp_path / str(number), mutant)): mutant for number, mutant in enumerate(tested)
    }
    done = subprocess.run(
        [sys.executable, mutants.__file__, *mutant_by_folder], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    codes = {mutant_by_folder[line.split()[0]]: int(line.split()[1]) for line in done.stdout.splitlines()}
    assert codes.pop(None) == PASSED, (tmp_path / "0" / "output").read_text()
    assert {str(mutant): code for mutant, code in codes.items() if code != FAILED} == {}
    assert len(codes) == len(tested) - 1
