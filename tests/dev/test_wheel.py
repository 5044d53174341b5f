"""The wheel: its version, its files, its types, its requirements and its command."""

import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterable
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import registry
from tests import golden
from tests.wheel import ROOT, build_wheel

RUN_COMMAND = "from private_registry.command import run; run()"
"""Code of the script `private-registry`."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, and return its file."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """Unpack the wheel, and return the folder."""
    folder = wheel.with_suffix("")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def read_metadata(installed: Path) -> Message:
    (file,) = installed.glob("*.dist-info/METADATA")
    return message_from_string(file.read_text())


def test_wheel_schema_changelog_and_tag_have_one_version(installed: Path) -> None:
    versions = re.findall(r"^## \[(\d.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == registry.__version__
    assert golden.current_schema()["version"] == registry.__version__
    assert read_metadata(installed)["Version"] == registry.__version__
    pages = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    assert {*re.findall(r"/private-registry@v([\d.]+)", pages)} == {registry.__version__}
    tags = subprocess.run(["git", "tag", "--points-at", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert {tag for tag in tags.stdout.split() if tag.startswith("v")} <= {f"v{registry.__version__}"}


def test_the_wheel_and_the_schema_describe_the_project_alike(installed: Path) -> None:
    metadata, schema = read_metadata(installed), golden.current_schema()
    assert metadata["Name"] == f"pulumi-{schema['name']}"
    assert metadata["Summary"] == schema["description"]
    assert metadata["License-Expression"] == schema["license"]
    assert metadata["Author"] == schema["publisher"]
    assert f"Repository, {schema['repository']}" in metadata.get_all("Project-URL", [])
    assert set(metadata["Keywords"].split(",")) == {"pulumi", *schema["keywords"]}


def test_the_wheel_has_every_file_of_the_component_and_the_commands(installed: Path) -> None:
    expected = {Path("private_registry") / path for path in source_files(ROOT / "registry")}
    expected |= {Path("private_registry/ops") / path for path in source_files(ROOT / "ops")}
    assert {Path("private_registry") / path for path in source_files(installed / "private_registry")} == expected
    assert {entry.name for entry in installed.iterdir() if not entry.name.endswith(".dist-info")} == {
        "private_registry"
    }


def source_files(folder: Path) -> Iterable[Path]:
    """Return the files of a package, without those that Python and the engine write."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return [path for path in files if not {"__pycache__", ".venv"} & {*path.parts}]


def test_the_ranges_of_the_requirements_allow_the_tested_versions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = {"component": "registry/requirements.txt", "ops": "ops/requirements.txt"}
    ranges = {"component": project["dependencies"], "ops": project["optional-dependencies"]["ops"]}
    for part, file in pins.items():
        lines = re.findall(r"^(\S+)==(\S+)", (ROOT / file).read_text(), re.MULTILINE)
        tested = {name.lower(): version for name, version in lines}
        required = {requirement.name.lower(): requirement.specifier for requirement in map(Requirement, ranges[part])}
        assert required.keys() == tested.keys()
        for name, specifier in required.items():
            assert tested[name] in specifier, name


def run_command(installed: Path, *arguments: str, before: str = "pass") -> subprocess.CompletedProcess[str]:
    """Run `private-registry` as the wheel's script does, outside of the checkout."""
    program = f"import sys; sys.path.insert(0, {str(installed)!r}); {before}; {RUN_COMMAND}"
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=installed, capture_output=True, text=True, check=False)


def test_the_command_is_ops(installed: Path) -> None:
    done = run_command(installed, "trust", "--help")
    assert done.returncode == 0, done.stderr
    assert "private-registry trust" in done.stdout


def test_the_command_reads_the_project_of_the_current_directory(installed: Path) -> None:
    """The folder has no Pulumi.yaml, and no engine is on PATH."""
    done = run_command(installed, "verify", before="import os; os.environ['PATH'] = ''")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Pulumi.yaml" in done.stderr or "`pulumi`" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_its_extra_the_command_names_what_to_install(installed: Path) -> None:
    done = run_command(installed, "status", before="sys.modules['typer'] = None")
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'pulumi-private-registry[ops]'" in done.stderr
    assert "Traceback" not in done.stderr


MISTAKES = {
    "an unknown key": '{"hostnam": "registry.example.com"}',
    "a number in quotes": '{"port": "5000"}',
    "a list that is text": '{"users": "centos"}',
    "a word that is no choice": '{"exposure": "clusterr"}',
}


def test_mypy_finds_mistakes_in_a_program_with_the_wheel(installed: Path, tmp_path: Path) -> None:
    """Only the marker py.typed lets mypy read the types of an installed package."""
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "shared.pth").write_text(f"{installed}\n{sysconfig.get_path('purelib')}\n")
    lines = [f'PrivateRegistry("r{number}", {args})' for number, args in enumerate(MISTAKES.values())]
    lines.append('PrivateRegistry("good", {"port": 5000, "users": ["centos"]})')
    program = tmp_path / "program.py"
    program.write_text("\n".join(["from private_registry import PrivateRegistry", "", *lines, ""]))
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(environment / "bin/python")]
    # With the settings of this project, mypy uses what it has already read of the SDKs for `make types`.
    command += ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    done = subprocess.run([*command, str(program)], cwd=tmp_path, capture_output=True, text=True, check=False)
    found = re.findall(r"^program\.py:(\d+): error: ", done.stdout, re.MULTILINE)
    assert [int(line) - 3 for line in dict.fromkeys(found)] == [*range(len(MISTAKES))], done.stdout
