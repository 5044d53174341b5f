"""The README's own commands and its program, run as they stand."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dev.workplace import PROJECT, STATE
from tests.e2e.conftest import NAME, Lab

pytestmark = pytest.mark.e2e

README = (PROJECT / "README.md").read_text()


def marked(what: str, language: str) -> str:
    """The one block of the README that a comment marks as run by a test."""
    (block,) = re.findall(rf"<!-- a test runs {what} -->\n```{language}\n(.*?)```", README, re.DOTALL)
    return str(block)


def test_the_commands_of_use_it_work_in_the_shell_of_dev_env(lab: Lab) -> None:
    lab.up()
    lab.trust(lab.outputs())
    block = marked("this block", "sh")
    try:
        done = lab.place.run("bash", "-euxo", "pipefail", "-c", block, check=False)
    finally:
        (PROJECT / "ca.pem").unlink(missing_ok=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Login Succeeded" in done.stdout
    assert '"busybox"' in done.stdout, "the catalog"


@pytest.fixture
def program(lab: Lab) -> Iterator[Path]:
    folder = STATE / NAME / "embedding"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "__main__.py").write_text(marked("this program", "python"))
    runtime = {"name": "python", "options": {"toolchain": "pip", "virtualenv": str(PROJECT / "venv")}}
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump({"name": "embedding", "runtime": runtime}))
    (folder / "registry").symlink_to(PROJECT / "registry")
    yield folder
    lab.pulumi("--cwd", str(folder), "destroy", "--yes", "--skip-preview", "--stack", "team")


def test_the_program_that_embeds_the_component_deploys(lab: Lab, program: Path) -> None:
    lab.pulumi("--cwd", str(program), "stack", "init", "team")
    lab.pulumi("--cwd", str(program), "up", "--yes", "--skip-preview", "--stack", "team")
    shown = lab.pulumi("--cwd", str(program), "stack", "output", "endpoint", "--stack", "team").stdout
    assert shown.strip() == "registry.example.com:5001"
    ready = lab.kubectl("get", "pod", "docker-registry", "--namespace", "team-registry", "--output", "wide")
    assert "1/1" in ready
