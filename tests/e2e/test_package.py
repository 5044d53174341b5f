"""The component as a plugin package: programs in Python and YAML that know it by its folder alone.

They run in copies, side by side with a copy of the component, so what the engine writes beside them stays in the lab.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from dev.environment import PROJECT, STATE
from dev.toolchain.build import build_program
from ops.recover.orphan_plugins import end_orphan_plugins
from registry.inputs.table import INPUTS
from tests import golden
from tests.e2e.lab import NAME, WITHOUT_BYTECODE, Lab, Project
from tests.e2e.refusals import message

pytestmark = pytest.mark.e2e

Example = Callable[[str], Project]


@pytest.fixture(scope="module")
def consumer(lab: Lab) -> Iterator[Lab]:
    """The lab, with a language host for YAML, which the built engine does not come with.

    `pulumi package` leaves the plugins running that it asked for a schema.
    """
    variables = {
        "PATH": os.pathsep.join([lab.place.env["PATH"], str(build_program("pulumi-language-yaml"))]),
        "PULUMI_IGNORE_AMBIENT_PLUGINS": "false",
        **WITHOUT_BYTECODE,
    }
    yield dataclasses.replace(lab, place=lab.place.with_variables(variables))
    with patch.dict(os.environ, lab.place.env):
        end_orphan_plugins()


@pytest.fixture(scope="module")
def folder(lab: Lab) -> Path:
    """The component and its examples as they lie in the project, but for what a run leaves there."""
    copy = STATE / NAME / "package"
    shutil.rmtree(copy, ignore_errors=True)
    for name in ("registry", "examples"):
        left = shutil.ignore_patterns(".venv", "venv", "sdks", "__pycache__")
        shutil.copytree(PROJECT / name, copy / name, symlinks=True, ignore=left)
    return copy


@pytest.fixture(scope="module")
def example(consumer: Lab, folder: Path) -> Iterator[Example]:
    """The project of an example, by its name; destroyed when the module ends."""
    made: list[Project] = []

    def make(name: str) -> Project:
        made.append(Project(consumer, folder / "examples" / name))
        made[-1].pulumi("stack", "select", "--create")
        return made[-1]

    yield make
    for each in made:
        each.pulumi("destroy", "--yes", "--skip-preview")


def test_the_folder_tells_the_engine_its_schema(consumer: Lab, folder: Path) -> None:
    told = here(consumer, folder, "pulumi", "package", "get-schema", "./registry")
    assert sorted(json.loads(told.stdout)["resources"]) == sorted(golden.current()["resources"])


def test_a_python_program_takes_the_component_by_its_generated_sdk(consumer: Lab, example: Example) -> None:
    project = example("python-package")
    added = here(consumer, project.folder, "pulumi", "package", "add", "../../registry", check=False)
    # The built language host is older than the engine and cannot read its last request, to write what is there already.
    assert added.returncode == 0 or "error: linking package" in added.stderr, added.stderr
    here(consumer, project.folder, sys.executable, "-m", "venv", "venv")
    here(consumer, project.folder, "venv/bin/pip", "install", "--quiet", "-r", "requirements.txt")
    check(consumer, project)


@pytest.fixture(scope="module")
def yaml_project(consumer: Lab, example: Example) -> Project:
    project = example("yaml")
    here(consumer, project.folder, "pulumi", "install")
    return project


def test_a_yaml_program_takes_the_component_by_its_folder(consumer: Lab, yaml_project: Project) -> None:
    check(consumer, yaml_project)


def test_what_is_refused_reaches_a_yaml_program_as_one_message(consumer: Lab, yaml_project: Project) -> None:
    program = yaml_project.folder / "Pulumi.yaml"
    right = program.read_text()
    program.write_text(right.replace("port: 5004", "port: 70000"))
    try:
        said = yaml_project.refused()
    finally:
        program.write_text(right)
    assert "PrivateRegistry resource 'registry' has a problem: " + message(INPUTS["port"].rule, 70000) in said
    assert 'File "' not in said


def here(lab: Lab, folder: Path, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run on this machine, which reaches the package index; the laptop does not."""
    done = subprocess.run(argv, cwd=folder, env=lab.place.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"{argv}\n{done.stdout}\n{done.stderr}"
    return done


def check(lab: Lab, project: Project) -> None:
    """Deploy, ask the registry, and deploy again."""
    outputs = project.up()
    assert status(lab, project, outputs, "/v2/") == "401"
    assert status(lab, project, outputs, "/v2/_catalog", "--user", f"centos:{outputs['password']}") == "200"
    project.up("--expect-no-changes")


def status(lab: Lab, project: Project, outputs: dict[str, Any], path: str, *arguments: str) -> str:
    """What the registry answers on a node of the cluster, under the address that its Service has there."""
    ca = project.folder / "ca.pem"
    ca.write_text(outputs["ca_pem"])
    address = lab.get("service", "docker-registry", outputs["namespace"])["spec"]["clusterIP"]
    found = lab.cluster.run(
        "k8s-master",
        [
            *("curl", "--silent", "--show-error", "--max-time", "10", "--output", "/dev/null"),
            *("--write-out", "%{http_code}", "--cacert", ca, "--connect-to", f"{outputs['endpoint']}:{address}:"),
            *(*arguments, f"https://{outputs['endpoint']}{path}"),
        ],
        capture_output=True,
        text=True,
    )
    assert not found.stderr, found.stderr
    return str(found.stdout)
