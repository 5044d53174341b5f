"""Deploy the code of the first release, then today's. tests/registry/test_upgrade.py compares the resources offline.

Only the providers decide what an upgrade replaces, and only real images can be lost.
"""

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.environment import PROJECT
from tests.e2e.lab import ADDRESS, Lab, Project, Registry, projects

pytestmark = pytest.mark.e2e

FIRST_RELEASE = "99ba806"
"""Commit of version 0.1.0, which has no tag."""

PROGRAM = """
import pulumi
from registry import PrivateRegistry

registry = PrivateRegistry(
    "team",
    {
        "namespace": "upgraded",
        "port": 5017,
        "exposure": "external-ips",
        "external_ips": ["192.168.56.10"],
        "storage_path": "/var/lib/upgraded",
        "users": ["centos", "ci"],
    },
)
for output in ("endpoint", "ca_pem", "username", "password", "passwords", "namespace", "addresses"):
    pulumi.export(output, getattr(registry, output))
"""


@pytest.fixture
def released_code(tmp_path: Path) -> Path:
    """Return the component's folder as the first release has it."""
    command = ["git", "archive", FIRST_RELEASE, "registry"]
    archive = subprocess.run(command, cwd=PROJECT, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"This clone lacks the commit {FIRST_RELEASE} of the first release.")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(tmp_path, filter="data")
    return tmp_path / "registry"


@pytest.fixture
def project(lab: Lab) -> Iterator[Project]:
    with projects(lab) as create:
        yield create("upgraded", PROGRAM)


def test_an_upgrade_from_the_first_release_keeps_images_users_and_ca(
    lab: Lab, project: Project, released_code: Path
) -> None:
    code = project.folder / "registry"
    code.unlink()
    code.symlink_to(released_code)
    before = Registry(project, project.up(), f"{ADDRESS}:5017")
    digest = before.push("team/app")
    kept = uids(lab)

    code.unlink()
    code.symlink_to(PROJECT / "registry")
    after = Registry(project, project.up(), f"{ADDRESS}:5017")

    assert after.outputs == before.outputs
    assert uids(lab) == kept
    assert after.has("team/app", digest)
    project.up("--expect-no-changes")


def uids(lab: Lab) -> dict[str, str]:
    """Return the UIDs of the objects that an upgrade must not replace."""
    claim = lab.get("persistentvolumeclaim", "repository", "upgraded")
    objects = [
        lab.get("namespace", "upgraded"),
        claim,
        lab.get("persistentvolume", claim["spec"]["volumeName"]),
        lab.get("service", "docker-registry", "upgraded"),
    ]
    return {each["kind"]: each["metadata"]["uid"] for each in objects}
