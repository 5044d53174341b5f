"""The canary sings: without any one of the protections, `test_leaks.py` fails."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import mutants
from tests.mutants import Mutant

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "registry"
CANARY = ("__init__", "canary", "conftest", "issuing", "test_leaks", "test_validation")

FAILED, PASSED = 1, 0
"""Exit codes of pytest; any other one means that the tests did not even run."""

REVEALED = {
    "auth._existing": "that the Secret is one of bcrypt lines",
    "certificate._existing": "certificates, which the registry shows to everybody",
    "metadata.id_of": "the name of an object",
    "node.find_node": "the name of a node",
    "settings._agree": "that a rule is content",
    "workload.__init__": "a digest, which http.secret is a part of",
}
"""Where a mark is taken off on purpose, and what is seen then."""


def copy(folder: Path, mutant: Mutant | None) -> Path:
    """The package and its canary in `folder`, without the protection."""
    shutil.copytree(PACKAGE, folder / "registry", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tests").mkdir()
    for name in CANARY:
        shutil.copy(ROOT / "tests" / f"{name}.py", folder / "tests")
    shutil.copy(ROOT / "pyproject.toml", folder)
    if mutant:
        (folder / "registry" / mutant.file).write_text(mutant.text)
    return folder


@pytest.mark.e2e  # of no cluster, but of a minute on idle cores
def test_without_any_one_protection_the_canary_fails(tmp_path: Path) -> None:
    found = [None, *mutants.of_package(PACKAGE)]
    copies = {str(copy(tmp_path / str(number), mutant)): mutant for number, mutant in enumerate(found)}
    judged = subprocess.run(
        [sys.executable, mutants.__file__, *copies], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    codes = {copies[line.split()[0]]: int(line.split()[1]) for line in judged.stdout.splitlines()}
    assert codes.pop(None) == PASSED, (tmp_path / "0" / "said").read_text()
    assert {str(mutant): code for mutant, code in codes.items() if code != FAILED} == {}
    assert len(codes) == len(found) - 1 >= 25


def test_every_kind_of_protection_is_found() -> None:
    found = "\n".join(map(str, mutants.of_package(PACKAGE)))
    for kind in ("Output.secret", "among the secrets", "RandomPassword", "v1.Secret", "is_config_secret", "from None"):
        assert kind in found
    for kind in ("Described(", *mutants.FILTERS):
        assert kind in found


def test_a_mark_is_taken_off_where_it_is_known_why() -> None:
    assert mutants.revealed(PACKAGE) == REVEALED.keys()


@pytest.mark.parametrize("name", mutants.NO_SECRET)
def test_what_is_no_secret_is_still_there(name: str) -> None:
    module, function = name.split(".")
    assert f"def {function}(" in (PACKAGE / "validation" / f"{module}.py").read_text()
