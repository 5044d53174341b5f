"""Run `ops verify` and `ops recover` on the deployed registry.

The offline tests have fake servers. Only the real registry, engine and state show that the commands fit them.
"""

import json
import sys

import pytest

from tests.e2e.lab import ADDRESS, STACK, Lab

pytestmark = pytest.mark.e2e

OPS = (sys.executable, "-m", "ops")
CHECKS = 11
"""Number of checks of a registry with the default inputs."""


def test_verify_passes_every_check_and_shows_no_secret(lab: Lab) -> None:
    done = lab.environment.run(*OPS, "verify", *STACK, "--address", ADDRESS, "--json")
    report = json.loads(done.stdout)
    assert report["passed"]
    assert [check["title"] for check in report["checks"] if not check["passed"]] == []
    assert len(report["checks"]) == CHECKS
    assert lab.outputs()["password"] not in done.stdout + done.stderr


def test_verify_reports_the_first_failure_with_a_remedy(lab: Lab) -> None:
    done = lab.environment.run(*OPS, "verify", *STACK, "--address", f"{ADDRESS}:5999", "--json", check=False)
    assert done.returncode == 1
    failed = json.loads(done.stdout)["checks"][-1]
    assert not failed["passed"]
    assert "refused" in failed["seen"]
    assert failed["remedy"]


def test_recover_has_nothing_to_do_if_no_run_was_interrupted(lab: Lab) -> None:
    recovery = json.loads(lab.environment.run(*OPS, "recover", *STACK, "--json").stdout)
    assert not recovery["refresh"]
