"""Render the objects of a registry as YAML, apply them without Pulumi, and use the registry.

No offline test can show this, because only the real provider renders, and only a cluster runs what it rendered.
"""

import json
import subprocess
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e import providers
from tests.e2e.lab import ADDRESS, Lab, Project, Registry, eventually, marked_block
from tests.e2e.s3 import S3

pytestmark = pytest.mark.e2e

PAGE = "docs/gitops.md"
INPUTS = "inputs.json"


def test_rendered_manifests_serve_the_registry(lab: Lab, s3: S3, create_project: Callable[[str, str], Project]) -> None:
    project = create_project("rendered", marked_block("this program", "python", PAGE))
    inputs: dict[str, Any] = {
        **{"namespace": "rendered", "exposure": "node-port", "node_port": 30541},
        **{"storage": "s3", "s3_bucket": s3.bucket, "s3_endpoint": s3.endpoint, "s3_prefix": "rendered"},
        **{"s3_access_key": s3.access_key, "s3_secret_key": s3.secret_key, "upstream_ca": s3.ca_pem},
    }
    (project.folder / INPUTS).write_text(json.dumps(inputs))
    try:
        output = render(project).stdout
        assert "Secret" in output, "the provider warns that files have secrets"
        apply = "\n".join(commands()[1:]).replace("docker-registry", "rendered")
        lab.environment.run("env", "--chdir", str(project.folder), "sh", "-ec", apply)
        assert any(s3.secret_key in value for value in secret_values(project.folder / "manifests")), "as the page says"
        registry = Registry(project, project.outputs(), f"{ADDRESS}:30541")
        eventually(60, "the registry answers", lambda: registry.status("/v2/") == 200)
        assert registry.has("kept/rendered", registry.push("kept/rendered"))
    finally:
        lab.kubectl("delete", "namespace", "rendered", "--ignore-not-found")


def test_a_storage_on_a_node_cannot_be_rendered(create_project: Callable[[str, str], Project]) -> None:
    project = create_project("unrendered", marked_block("this program", "python", PAGE))
    (project.folder / INPUTS).write_text(json.dumps({"namespace": "unrendered"}))
    refused = render(project, check=False)
    assert refused.returncode != 0
    assert "`node`" in refused.stdout + refused.stderr


def secret_values(folder: Path) -> Iterator[str]:
    """Yield the decoded values of the Secrets in the files of a folder."""
    for file in folder.rglob("*.yaml"):
        manifest = yaml.safe_load(file.read_text())
        if manifest["kind"] == "Secret":
            yield from manifest.get("stringData", {}).values()
            yield from (b64decode(value).decode() for value in manifest.get("data", {}).values())


def commands() -> list[str]:
    """Return the commands of the page, which render the files and apply them."""
    return marked_block("these lines", "sh", PAGE).splitlines()


def render(project: Project, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command of the page, which unsets KUBECONFIG, with a provider of its own."""
    assert commands()[0] == "env --unset=KUBECONFIG pulumi up"
    environment = project.lab.environment
    prefix = (*environment.command_prefix, "env", "--unset=KUBECONFIG", f"--unset={providers.VARIABLE}")
    lab = replace(project.lab, environment=replace(environment, command_prefix=prefix))
    return replace(project, lab=lab).run("up", "--yes", "--skip-preview", check=check)
