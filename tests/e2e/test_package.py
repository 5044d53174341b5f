"""Use the component as a plugin package, from programs in other languages that name only the path of its folder.

The tests copy component and programs, because the engine writes files next to them. No offline test can show this,
because only a real engine reads the schema and starts the plugin, and only compilers check the types of an SDK.
"""

import dataclasses
import json
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch
from xml.etree import ElementTree

import pytest
import yaml

from dev.environment import PROJECT, STATE
from dev.toolchain import golang
from dev.toolchain.build import build_program
from ops.recover.orphan_plugins import end_orphan_plugins
from registry import __version__
from registry.inputs.table import INPUTS
from registry.plugin import NAMESPACE
from tests import golden
from tests.e2e import git_server, stack_file
from tests.e2e.lab import NAME, STACK, WITHOUT_BYTECODE, Lab, Project, marked_block
from tests.e2e.messages import message
from tests.wheel import build_wheel

pytestmark = pytest.mark.e2e

CreateExample = Callable[[str], Project]

SDK_FOLDER = f"sdks/{NAMESPACE}-private-registry"
"""Folder that `pulumi package add` writes an SDK to."""

GENERATOR = "gen-sdk"
"""Program that generates an SDK. `pulumi package add` would ask the language host, which is not published."""

NO_DOTNET = "The SDK for .NET is read and not compiled, because no package registry has a compiler of C#."


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
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, and return its file."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def component_folder(lab: Lab, wheel: Path) -> Path:
    """Copy the component from the wheel, and the examples without generated files. Return the folder.

    So all programs of these tests show that the plugin works from the wheel.
    """
    target = STATE / NAME / "package"
    shutil.rmtree(target, ignore_errors=True)
    ignore = shutil.ignore_patterns(".venv", "venv", "sdks", "node_modules", "bin", "__pycache__")
    shutil.copytree(PROJECT / "examples", target / "examples", symlinks=True, ignore=ignore)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    (target / "private_registry").rename(target / "registry")
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


@pytest.fixture(scope="module")
def schema_file(plugin_lab: Lab, component_folder: Path) -> Path:
    """Return a file with the schema that the engine reads from the folder."""
    # In a folder without a project the engine would look in the folders above, and the clone has two project files.
    folder = component_folder / "examples/yaml"
    done = run_on_this_machine(plugin_lab, folder, "pulumi", "package", "get-schema", "../../registry")
    file = component_folder / "schema.json"
    file.write_text(done.stdout)
    return file


def test_the_engine_reads_the_schema_from_the_folder(schema_file: Path) -> None:
    assert sorted(json.loads(schema_file.read_text())["resources"]) == sorted(golden.current_schema()["resources"])


def test_the_sdk_from_a_git_server_has_the_name_and_the_version_of_the_folder(plugin_lab: Lab, tmp_path: Path) -> None:
    """The engine clones the tag, and runs the repository's root, which is also the folder of the program."""
    url = f"{git_server.ADDRESS}/platform/private-registry"
    commit_as = ("-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
    repository = tmp_path / "repositories/platform/private-registry.git"
    (tmp_path / "work").mkdir()
    for name in ("PulumiPlugin.yaml", "__main__.py", "requirements.txt"):
        shutil.copy(PROJECT / name, tmp_path / "work")
    ignored = shutil.ignore_patterns(".venv", "__pycache__")
    for name in ("registry", "ops"):
        shutil.copytree(PROJECT / name, tmp_path / "work" / name, ignore=ignored)
    for command in (
        ("init", "--quiet"),
        ("add", "--all"),
        (*commit_as, "commit", "--quiet", "--message", "The files that a plugin needs"),
        ("tag", f"v{__version__}"),
        ("clone", "--quiet", "--bare", ".", repository),
    ):
        subprocess.run(["git", *command], cwd=tmp_path / "work", check=True)
    project = tmp_path / "project"
    project.mkdir()
    (project / "Pulumi.yaml").write_text("name: from-git\nruntime: {name: python, options: {virtualenv: venv}}\n")
    home = tmp_path / "home"  # the engine keeps the clone there
    (home / "plugins").mkdir(parents=True)
    for plugin in Path(plugin_lab.environment.env.get("PULUMI_HOME", Path.home() / ".pulumi"), "plugins").iterdir():
        (home / "plugins" / plugin.name).symlink_to(plugin)
    with git_server.serve_repositories(repository.parents[1]) as trusted:
        variables = {
            "PULUMI_HOME": str(home),
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "false",
            "SSL_CERT_FILE": str(trusted),
            "PIP_NO_COMPILE": "1",
        }
        lab = dataclasses.replace(plugin_lab, environment=plugin_lab.environment.with_variables(variables))
        done = run_on_this_machine(
            lab, project, "pulumi", "package", "add", f"https://{url}@v{__version__}", check=False
        )
        assert done.returncode == 0 or "error: linking package" in done.stderr, done.stderr
    package = project / f"{SDK_FOLDER}/{NAMESPACE}_private_registry"
    assert json.loads((package / "pulumi-plugin.json").read_text()) == {
        "resource": True,
        "name": "private-registry",
        "version": __version__,
        "server": f"git://{url}",
    }


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


def test_a_program_of_five_lines_deploys_a_registry_with_the_wheel(plugin_lab: Lab, wheel: Path) -> None:
    """The virtual environment is new, and has the wheel alone, with the providers that the built engine has."""
    folder = STATE / NAME / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    run_on_this_machine(plugin_lab, STATE, sys.executable, "-m", "venv", str(folder / "venv"))
    pins = str(PROJECT / "registry/requirements.txt")
    run_on_this_machine(
        plugin_lab, folder, "venv/bin/pip", "install", "--quiet", "--no-compile", "--constraint", pins, str(wheel)
    )
    (folder / "Pulumi.yaml").write_text("name: wheel\nruntime: {name: python, options: {virtualenv: venv}}\n")
    program = marked_block("this program from the wheel", "python", "docs/_index.md")
    (folder / "__main__.py").write_text(
        program.replace('"k8s-worker"', '"k8s-master", "storage_path": "/var/lib/wheel"')
    )
    project = Project(plugin_lab, folder)
    project.pulumi("stack", "select", "--create")
    try:
        check_deployment(plugin_lab, project)
    finally:
        project.pulumi("destroy", "--yes", "--skip-preview")


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


@pytest.mark.skipif(not shutil.which("npm"), reason="Node.js is not installed, so its SDK is not compiled.")
def test_a_nodejs_program_deploys_a_registry(plugin_lab: Lab, component_folder: Path, schema_file: Path) -> None:
    folder = component_folder / "examples/nodejs"
    generate_sdk("nodejs", schema_file, folder / SDK_FOLDER)
    offline = dataclasses.replace(
        plugin_lab, environment=plugin_lab.environment.with_variables({"NPM_CONFIG_PREFER_OFFLINE": "true"})
    )
    check_automation(offline, folder)


def test_a_go_program_deploys_a_registry(plugin_lab: Lab, component_folder: Path, schema_file: Path) -> None:
    folder = component_folder / "examples/go"
    sdk = folder / SDK_FOLDER
    generate_sdk("go", schema_file, sdk)
    go = golang.choose_go(folder)
    go.ensure_installed()
    path = os.pathsep.join([str(go.command.parent), plugin_lab.environment.env["PATH"]])
    variables = {"PATH": path, "GOFLAGS": "-trimpath", "GOTOOLCHAIN": "local"}
    lab = dataclasses.replace(plugin_lab, environment=plugin_lab.environment.with_variables(variables))
    module = (sdk / "go.mod").read_text().split()[1]
    run_on_this_machine(lab, folder, "go", "vet", "./...", f"{module}/...")
    run_on_this_machine(lab, folder, "go", "build", "-o", os.devnull, ".")  # The laptop cannot download modules.
    check_automation(lab, folder)


@pytest.mark.skipif(not shutil.which("mvn"), reason="Maven is not installed, so the SDK for Java is not compiled.")
def test_the_sdk_for_java_compiles(plugin_lab: Lab, schema_file: Path, tmp_path: Path) -> None:
    generate_sdk("java", schema_file, tmp_path)
    project = PROJECT / "tests/e2e/java/pom.xml"
    run_on_this_machine(
        plugin_lab, tmp_path, "mvn", "-q", "--batch-mode", "--file", str(project), "compile", f"-Dsdk={tmp_path}"
    )
    assert [*tmp_path.glob("target/classes/**/PrivateRegistry.class")]


def test_the_sdk_for_dotnet_has_every_type_and_property(
    schema_file: Path, tmp_path: Path, figures: Callable[[str], None]
) -> None:
    figures(NO_DOTNET)
    generate_sdk("dotnet", schema_file, tmp_path)
    schema = json.loads(schema_file.read_text())
    (project,) = tmp_path.glob("*.csproj")
    assert ElementTree.parse(project).getroot().get("Sdk") == "Microsoft.NET.Sdk"
    sources = {file.stem: file.read_text() for file in tmp_path.rglob("*.cs")}
    for token, resource in schema["resources"].items():
        source = sources[token.rpartition(":")[2]]
        assert all(f'[Input("{key}"' in source for key in resource["inputProperties"])
        assert all(f'[Output("{key}"' in source for key in resource["properties"])
    for token, definition in schema["types"].items():
        name = token.rpartition(":")[2]
        words = [f" {word['name']} {{ get; }} = new {name}(" for word in definition.get("enum", [])]
        keys = [f'[Input("{key}"' for key in definition.get("properties", {})]
        source = sources["Enums" if words else f"{name}Args"]
        assert all(text in source for text in [*words, *keys]), name


def generate_sdk(language: str, schema_file: Path, folder: Path) -> None:
    """Generate the SDK as `pulumi package add` does."""
    subprocess.run([build_program(GENERATOR) / GENERATOR, language, schema_file, folder], check=True)


def check_automation(lab: Lab, folder: Path) -> None:
    """Run the commands of an example's README: install its dependencies, deploy a registry, and destroy it.

    The SDK must exist. The last commands run on the laptop, because they need the cluster.
    """
    add, *install, deploy, destroy = marked_block("these lines", "sh", f"examples/{folder.name}/README.md").splitlines()
    assert add == "pulumi package add ../../registry"
    for command in install:
        run_on_this_machine(lab, folder, *shlex.split(command))
    project = str(yaml.safe_load((folder / "Pulumi.yaml").read_text())["name"])
    try:
        run_on_laptop(lab, folder, deploy)
        outputs = stack_file.read_outputs(lab.environment, project, "dev")
        shown = json.loads(lab.pulumi("--cwd", str(folder), "stack", "output", "--json", *STACK).stdout)
        assert {key for key in outputs if outputs[key] != shown[key]} == {"password"}, "The password alone is secret."
        outputs["ca_pem"] = outputs["caPem"]
        lab.wait_for_kube_proxies()
        login = f"{outputs['username']}:{outputs['password']}"
        assert response_status(lab, folder, outputs, "/v2/") == "401"
        assert response_status(lab, folder, outputs, "/v2/_catalog", "--user", login) == "200"
    finally:
        run_on_laptop(lab, folder, destroy)
    assert not lab.api.exists("namespaces", project)


def run_on_laptop(lab: Lab, folder: Path, command: str) -> None:
    done = lab.environment.run("env", "--chdir", str(folder), *shlex.split(command), check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def run_on_this_machine(lab: Lab, folder: Path, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command on this machine, because the laptop does not reach the package index."""
    done = subprocess.run(argv, cwd=folder, env=lab.environment.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"{argv}\n{done.stdout}\n{done.stderr}"
    return done


def check_deployment(lab: Lab, project: Project) -> None:
    """Deploy, send requests with and without a login, and deploy again."""
    outputs = project.up()
    assert response_status(lab, project.folder, outputs, "/v2/") == "401"
    login = f"centos:{outputs['password']}"
    assert response_status(lab, project.folder, outputs, "/v2/_catalog", "--user", login) == "200"
    project.up("--expect-no-changes")


def response_status(lab: Lab, folder: Path, outputs: dict[str, Any], path: str, *arguments: str) -> str:
    """Return the status of the response to a request from a node to the address of the Service."""
    ca = folder / "ca.pem"
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
