"""Use the component as a plugin package, from programs in Python and YAML that name only the path of its folder.

The tests copy component and programs, because the engine writes files next to them. No offline test can show this,
because only a real engine generates SDKs and starts the plugin.
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
from tests.e2e.messages import message

pytestmark = pytest.mark.e2e

CreateExample = Callable[[str], Project]


@pytest.fixture(scope="module")
def plugin_lab(lab: Lab) -> Iterator[Lab]:
    """Return the lab with a language host for YAML, which the built engine does not include.

    At the end, stop the plugins that `pulumi package` starts to read a schema and does not stop.
    """
    variables = {
        "PATH": os.pathsep.join([lab.environment.env["PATH"], str(build_program("pulumi-language-yaml"))]),
        "PULUMI_IGNORE_AMBIENT_PLUGINS": "false",
        **WITHOUT_BYTECODE,
    }
    yield dataclasses.replace(lab, environment=lab.environment.with_variables(variables))
    with patch.dict(os.environ, lab.environment.env):
        end_orphan_plugins()


@pytest.fixture(scope="module")
def component_folder(lab: Lab) -> Path:
    """Copy the component and its examples without generated files, and return the folder."""
    target = STATE / NAME / "package"
    shutil.rmtree(target, ignore_errors=True)
    for name in ("registry", "examples"):
        ignore = shutil.ignore_patterns(".venv", "venv", "sdks", "__pycache__")
        shutil.copytree(PROJECT / name, target / name, symlinks=True, ignore=ignore)
    return target


@pytest.fixture(scope="module")
def create_example(plugin_lab: Lab, component_folder: Path) -> Iterator[CreateExample]:
    """Yield a function that creates the project of an example. All projects are destroyed when the module ends."""
    projects: list[Project] = []

    def create(name: str) -> Project:
        projects.append(Project(plugin_lab, component_folder / "examples" / name))
        projects[-1].pulumi("stack", "select", "--create")
        return projects[-1]

    yield create
    for project in projects:
        project.pulumi("destroy", "--yes", "--skip-preview")


def test_the_engine_reads_the_schema_from_the_folder(plugin_lab: Lab, component_folder: Path) -> None:
    done = run_on_this_machine(plugin_lab, component_folder, "pulumi", "package", "get-schema", "./registry")
    assert sorted(json.loads(done.stdout)["resources"]) == sorted(golden.current_schema()["resources"])


def test_a_python_program_uses_the_component_through_its_generated_sdk(
    plugin_lab: Lab, create_example: CreateExample
) -> None:
    project = create_example("python-package")
    done = run_on_this_machine(plugin_lab, project.folder, "pulumi", "package", "add", "../../registry", check=False)
    # The built language host is older than the engine, and fails at the engine's last request. That request would
    # change nothing here.
    assert done.returncode == 0 or "error: linking package" in done.stderr, done.stderr
    run_on_this_machine(plugin_lab, project.folder, sys.executable, "-m", "venv", "venv")
    run_on_this_machine(plugin_lab, project.folder, "venv/bin/pip", "install", "--quiet", "-r", "requirements.txt")
    check_deployment(plugin_lab, project)


@pytest.fixture(scope="module")
def yaml_project(plugin_lab: Lab, create_example: CreateExample) -> Project:
    project = create_example("yaml")
    run_on_this_machine(plugin_lab, project.folder, "pulumi", "install")
    return project


def test_a_yaml_program_uses_the_component_from_its_folder(plugin_lab: Lab, yaml_project: Project) -> None:
    check_deployment(plugin_lab, yaml_project)


def test_a_yaml_program_gets_a_refusal_as_one_message(plugin_lab: Lab, yaml_project: Project) -> None:
    program = yaml_project.folder / "Pulumi.yaml"
    valid = program.read_text()
    program.write_text(valid.replace("port: 5004", "port: 70000"))
    try:
        output = yaml_project.expect_refusal()
    finally:
        program.write_text(valid)
    assert "PrivateRegistry resource 'registry' has a problem: " + message(INPUTS["port"].rule, 70000) in output
    assert 'File "' not in output, "the output has no traceback"


def run_on_this_machine(lab: Lab, folder: Path, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command on this machine, because the laptop does not reach the package index."""
    done = subprocess.run(argv, cwd=folder, env=lab.environment.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"{argv}\n{done.stdout}\n{done.stderr}"
    return done


def check_deployment(lab: Lab, project: Project) -> None:
    """Deploy, send requests with and without a login, and deploy again."""
    outputs = project.up()
    assert response_status(lab, project, outputs, "/v2/") == "401"
    assert response_status(lab, project, outputs, "/v2/_catalog", "--user", f"centos:{outputs['password']}") == "200"
    project.up("--expect-no-changes")


def response_status(lab: Lab, project: Project, outputs: dict[str, Any], path: str, *arguments: str) -> str:
    """Return the status of the response to a request from a node to the address of the Service."""
    ca = project.folder / "ca.pem"
    ca.write_text(outputs["ca_pem"])
    address = lab.get("service", "docker-registry", outputs["namespace"])["spec"]["clusterIP"]
    done = lab.cluster.run(
        "k8s-master",
        [
            *("curl", "--silent", "--show-error", "--max-time", "10", "--output", "/dev/null"),
            *("--write-out", "%{http_code}", "--cacert", ca, "--connect-to", f"{outputs['endpoint']}:{address}:"),
            *(*arguments, f"https://{outputs['endpoint']}{path}"),
        ],
        capture_output=True,
        text=True,
    )
    assert not done.stderr, done.stderr
    return str(done.stdout)
