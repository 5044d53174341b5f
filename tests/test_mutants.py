"""Which protections of a secret are found; `e2e/test_mutants.py` takes each of them away."""

from pathlib import Path

import pytest

from tests import mutants

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "registry"
REVEALED = {
    "auth._existing": "that the Secret is one of bcrypt lines",
    "certificate._existing": "certificates, which the registry shows to everybody",
    "metadata.id_of": "the name of an object",
    "node.find_node": "the name of a node",
    "settings._agree": "that a rule is content",
    "workload.__init__": "a digest, which http.secret is a part of",
}
"""Where a mark is taken off on purpose, and what is seen then."""


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
