"""The README's own commands and its program, run as they stand."""

from collections.abc import Callable

import pytest

from tests.e2e.lab import Lab, Project, checkout, marked

pytestmark = pytest.mark.e2e


def test_the_commands_of_use_it_work_in_the_shell_of_dev_env(lab: Lab) -> None:
    lab.up()
    lab.trust(lab.outputs())
    here = ("env", f"--chdir={checkout()}")
    done = lab.place.run(*here, "bash", "-euxo", "pipefail", "-c", marked("this block", "sh"), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Login Succeeded" in done.stdout
    assert '"busybox"' in done.stdout, "the catalog"


def test_the_program_that_embeds_the_component_deploys(lab: Lab, project: Callable[..., Project]) -> None:
    outputs = project("team", marked("this program", "python")).up()
    assert outputs["endpoint"] == "registry.example.com:5001"
    assert outputs["ca_pem"].startswith("-----BEGIN CERTIFICATE-----")
    ready = lab.kubectl("get", "pod", "docker-registry", "--namespace", "team-registry", "--output", "wide")
    assert "1/1" in ready
