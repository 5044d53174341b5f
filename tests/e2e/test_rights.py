"""Deploy with only the rights of docs/rights.yaml.

tests/registry/test_rights.py compares the roles with the component's own objects. It cannot show the objects that the
provider reads and watches in addition, because only a real API server and provider do that.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from dev.cluster.plan import WORKER
from dev.environment import PROJECT, STATE
from tests.e2e.lab import NAME, Lab, Project, marked_block, projects
from tests.e2e.test_storage import apply, claim_manifest, create_empty_folder, volume_manifest

pytestmark = pytest.mark.e2e

PAGE = "docs/embedding.md"

DEPLOYER = "team:deployer"
"""ServiceAccount that stands for the user `jane` of the page."""

IN_NAMESPACE: dict[str, Any] = {
    "namespace": "team",
    "create_namespace": False,
    "storage": "claim",
    "storage_claim": "images",
    "exposure": "node-port",
    "node_port": 30533,
    "metrics": True,
}
"""Inputs of a registry whose objects are all in the namespace of the team."""

ANYWHERE: dict[str, Any] = {
    "namespace": "anywhere",
    "storage_path": "/var/lib/anywhere",
    "workload": "deployment",
    "discovery": True,
    "exposure": "external-ips",
    "external_ips": [WORKER.address],
    "port": 5007,
    "node_trust": True,
    "pull_secrets": ["team"],
    "default_pull_secret": True,
    "priority_class": "system-cluster-critical",
}
"""Inputs of a registry with objects of every kind, also outside of its namespace."""


def run_commands(lab: Lab, lines: str) -> None:
    """Run commands of the page as the administrator."""
    for line in lines.splitlines():
        command = line.replace("--user jane", f"--serviceaccount {DEPLOYER}").replace("docs/", f"{PROJECT}/docs/")
        lab.kubectl(*command.split()[1:])


@pytest.fixture
def deployer(lab: Lab) -> Iterator[Lab]:
    """Return the lab for a ServiceAccount in the namespace `team`, which has no rights yet."""
    create_empty_folder(lab, "/var/lib/team")
    lab.kubectl("create", "namespace", "team")
    apply(lab, volume_manifest("team", "/var/lib/team", ""), claim_manifest("images", "team", "team"))
    lab.kubectl("create", "serviceaccount", "deployer", "--namespace", "team")
    token = lab.kubectl("create", "token", "deployer", "--namespace", "team").strip()
    kubeconfig = yaml.safe_load(lab.cluster.kubeconfig.read_text())
    kubeconfig["users"][0]["user"] = {"token": token}
    file = STATE / NAME / "deployer"
    file.write_text(yaml.safe_dump(kubeconfig))
    run_commands(lab, marked_block("these lines for the roles", "sh", PAGE))
    yield dataclasses.replace(lab, environment=lab.environment.with_variables({"KUBECONFIG": str(file)}))
    lab.kubectl("delete", "namespace", "team")
    lab.kubectl("delete", "pv", "team")
    lab.kubectl("delete", "clusterrole,clusterrolebinding", "registry-namespace", "registry-cluster", check=False)


@pytest.fixture
def run_project(deployer: Lab) -> Iterator[Callable[..., None]]:
    """Yield a function that deploys, changes and destroys a registry as the ServiceAccount."""
    with projects(deployer) as create:
        yield lambda name, **settings: deploy_change_and_destroy(create_program(create, name), settings)


def create_program(create: Callable[..., Project], name: str) -> Project:
    """Create a project with the repository's own program."""
    project = create(name, (PROJECT / "__main__.py").read_text())
    project.declare_config()
    return project


def deploy_change_and_destroy(project: Project, settings: dict[str, Any]) -> None:
    project.configure(**settings)
    project.up()
    project.configure(**settings, log_level="warn")
    project.up()
    project.pulumi("destroy", "--yes", "--skip-preview", "--refresh")


def test_a_team_needs_no_right_outside_of_its_namespace(
    lab: Lab, deployer: Lab, run_project: Callable[..., None]
) -> None:
    run_commands(lab, marked_block("these lines for one namespace", "sh", PAGE))
    assert deployer.kubectl("auth", "can-i", "get", "nodes", check=False).strip() == "no"
    run_project("one-namespace", **IN_NAMESPACE)


def test_both_roles_allow_every_configuration(lab: Lab, deployer: Lab, run_project: Callable[..., None]) -> None:
    run_commands(lab, marked_block("these lines for the cluster", "sh", PAGE))
    assert deployer.kubectl("auth", "can-i", "create", "clusterroles", check=False).strip() == "no"
    run_project("anywhere", **ANYWHERE)
