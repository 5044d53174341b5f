"""Ask the programs of the lab for their versions. With `--write-versions` the test writes them to tests/versions.json.

No offline test can show this, because a program may say another version than the table of the toolchain.
"""

import json
import platform
import subprocess
from importlib import metadata

import pytest

from dev import packages
from dev.cluster.programs import choose_release
from dev.toolchain.build import build_programs
from dev.toolchain.programs import RELEASE
from tests import versions
from tests.e2e.lab import Lab

pytestmark = pytest.mark.e2e

IN_LAB = {
    "containerd": ("containerd", "--version"),
    "runc": ("runc", "--version"),
    "engine": ("pulumi", "version"),
    "Docker": ("docker", "version", "--format", "{{.Server.Version}}"),
}
"""Commands on the laptop that print a version."""

BUILT = {
    "Docker engine": ("dockerd", "--version"),
    "Docker client": ("docker", "--version"),
    "crane": ("crane", "version"),
    "oras": ("oras", "version"),
    "Helm": ("helm", "version", "--short"),
    "Distribution": ("registry", "--version"),
    "the guide's Distribution": ("registry-2.7", "--version"),
    "regsync": ("regsync", "version"),
}
"""Programs of the toolchain, and their arguments that print the version."""

DEBIAN = {"podman": ("podman", "--version"), "skopeo": ("skopeo", "--version"), "HAProxy": ("haproxy", "-v")}
"""Commands of Debian packages that print a version."""


def test_every_program_has_the_version_of_its_pin(lab: Lab, pytestconfig: pytest.Config) -> None:
    kubernetes = lab.environment.run("kubectl", "get", "--raw", "/version").stdout
    outputs = {"Kubernetes" if choose_release() == RELEASE else versions.OLDEST: json.loads(kubernetes)["gitVersion"]}
    outputs |= {name: lab.environment.run(*argv).stdout for name, argv in IN_LAB.items()}
    folders = build_programs([program for program, *_ in BUILT.values()])
    for name, (program, *arguments) in BUILT.items():
        command = [str(folders[program] / program), *arguments]
        outputs[name] = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for name, (program, *arguments) in DEBIAN.items():
        # Each has the libraries of its own packages.
        debian = packages.provide_haproxy() if name == "HAProxy" else packages.provide_packages({program: program})
        command = [str(debian.find(program)), *arguments]
        outputs[name] = subprocess.run(command, check=True, capture_output=True, text=True, env=debian.env).stdout

    found = {name: versions.find_version(output) for name, output in outputs.items()}
    plugins = json.loads(lab.environment.run("pulumi", "plugin", "ls", "--json").stdout)
    found |= {plugin["name"]: plugin["version"] for plugin in plugins if plugin["name"] in versions.PINS}
    found |= {"SDK": metadata.version("pulumi"), "Python": platform.python_version()}

    if pytestconfig.option.write_versions:
        versions.write_versions(found)
    assert {name: version for name, version in found.items() if name in versions.PINS} == {
        name: version for name, version in versions.PINS.items() if name in found
    }
