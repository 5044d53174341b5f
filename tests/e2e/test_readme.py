"""Run the README's commands in the shell of `dev env`, and the program of docs/embedding.md.

No offline test can show that they work, because they need a cluster and a Docker engine.
"""

from collections.abc import Callable

import pytest

from tests.e2e.lab import Lab, Project, checkout, marked_block

pytestmark = pytest.mark.e2e


def test_the_commands_for_the_embedded_cluster_work_in_the_shell_of_dev_env(lab: Lab) -> None:
    lab.up()
    lab.trust(lab.outputs())
    in_checkout = ("env", f"--chdir={checkout()}")
    # The lab has already installed the CA and the name, so the line with `sudo` is left out.
    lines = marked_block("these lines on a client", "sh").replace("--stack mine", "--stack dev").splitlines()
    log_in_and_push = "\n".join(line for line in lines if "sudo " not in line)
    checks = marked_block("this block", "sh", "dev/README.md") + marked_block("this command", "sh", "docs/clients.md")
    script = f"{log_in_and_push}\npulumi stack output ca_pem > ca.pem\n{checks}"
    done = lab.environment.run(*in_checkout, "bash", "-euxo", "pipefail", "-c", script, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Login Succeeded" in done.stdout
    assert "1.35: digest: sha256:" in done.stdout
    assert '"busybox"' in done.stdout, "the catalog lists the image"


def test_the_program_that_embeds_the_component_deploys(lab: Lab, create_project: Callable[..., Project]) -> None:
    outputs = create_project("team", marked_block("this program", "python", "docs/embedding.md")).up()
    assert outputs["endpoint"] == "registry.example.com:5001"
    assert outputs["ca_pem"].startswith("-----BEGIN CERTIFICATE-----")
    ready = lab.kubectl("get", "pod", "docker-registry", "--namespace", "team-registry", "--output", "wide")
    assert "1/1" in ready
