"""`python -m ops` against the live registry."""

import json
import sys

import pytest

from tests.e2e.lab import ADDRESS, STACK, Lab

pytestmark = pytest.mark.e2e

OPS = (sys.executable, "-m", "ops")


def test_verify_passes_every_check_and_shows_no_secret(lab: Lab) -> None:
    done = lab.place.run(*OPS, "verify", *STACK, "--address", ADDRESS, "--json")
    seen = json.loads(done.stdout)
    assert seen["passed"]
    assert [check["title"] for check in seen["checks"] if not check["passed"]] == []
    assert len(seen["checks"]) == 11
    assert lab.outputs()["password"] not in done.stdout + done.stderr


def test_verify_names_cause_and_remedy_of_the_first_failure(lab: Lab) -> None:
    done = lab.place.run(*OPS, "verify", *STACK, "--address", f"{ADDRESS}:5999", "--json", check=False)
    assert done.returncode == 1
    failed = json.loads(done.stdout)["checks"][-1]
    assert not failed["passed"]
    assert "refused" in failed["seen"]
    assert failed["remedy"]


def test_recover_has_nothing_to_do_on_a_stack_that_ended_well(lab: Lab) -> None:
    assert "nothing to recover" in lab.place.run(*OPS, "recover", *STACK).stdout
