"""Look up existing objects at preview, and change the StorageClass after a claim that was never bound.

No offline test can show this: only the real engine and provider end a preview with one sentence, and only a real
cluster binds claims.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from dev.environment import PROJECT
from registry.validation.existing_objects import refuse_missing_object, refuse_other_namespace
from tests.e2e.lab import Lab, Project
from tests.e2e.messages import message
from tests.e2e.test_storage import apply, create_empty_folder, storage_class_manifest, volume_manifest

pytestmark = pytest.mark.e2e

IN_NAMESPACE: dict[str, Any] = {"namespace": "looked-up", "create_namespace": False}


class RefusedConfig(NamedTuple):
    """A config that the preview must refuse because of an existing or a missing object.

    Attributes:
        key: Name of the refused input.
        config: The config.
        refusal: The message of the refusal.
    """

    key: str
    config: dict[str, Any]
    refusal: str


def missing_object(key: str, kind: str, name: str, remedy: str, **config: Any) -> RefusedConfig:
    """Return a config that names a missing object in `key`."""
    return RefusedConfig(key, {**config, key: name}, message(refuse_missing_object, key, kind, name, remedy))


def find_remedy(key: str, objects: str) -> str:
    return f"Run `pulumi config set {key}` with a name from `kubectl get {objects}`"


REFUSED_CONFIGS = [
    missing_object("node", "node", "no-such-node", find_remedy("node", "nodes")),
    missing_object(
        "namespace",
        "namespace",
        "nowhere",
        "Run `kubectl create namespace nowhere`, or `pulumi config set create_namespace true`",
        create_namespace=False,
    ),
    missing_object(
        "storage_claim",
        "claim",
        "nothing",
        find_remedy("storage_claim", "pvc --namespace looked-up"),
        storage="claim",
        **IN_NAMESPACE,
    ),
    missing_object(
        "tls_secret", "Secret", "nothing", find_remedy("tls_secret", "secrets --namespace looked-up"), **IN_NAMESPACE
    ),
    RefusedConfig(
        "create_namespace",
        {"namespace": "looked-up"},
        message(refuse_other_namespace, "looked-up", {"metadata": {"name": "looked-up"}}, is_own=False),
    ),
]


@pytest.fixture
def project(lab: Lab, create_project: Callable[[str, str], Project]) -> Project:
    """Create a project with the repository's own program."""
    created = create_project("looked-up", (PROJECT / "__main__.py").read_text())
    created.declare_config()
    return created


def test_a_missing_object_or_a_foreign_namespace_ends_the_preview_with_one_message(
    lab: Lab, project: Project, figures: Callable[[str], None]
) -> None:
    lab.kubectl("create", "namespace", "looked-up")
    try:
        for key, config, refusal in REFUSED_CONFIGS:
            project.configure(**config)
            start = time.monotonic()
            output = project.expect_refusal()
            figures(f"{key}: preview refused after {time.monotonic() - start:.1f} s")
            errors = {line.partition("error: ")[2] for line in output.splitlines() if "error: " in line}
            exit_error = "an unhandled error occurred: program exited with non-zero exit code: 1"
            assert errors == {refusal, exit_error}
    finally:
        lab.kubectl("delete", "namespace", "looked-up")


def test_the_storage_class_can_change_after_a_claim_that_was_never_bound(lab: Lab, project: Project) -> None:
    create_empty_folder(lab, "/var/lib/looked-up")
    classes = map(storage_class_manifest, ("empty", "full"))  # one without volumes, and one with a volume
    apply(lab, *classes, volume_manifest("looked-up", "/var/lib/looked-up", "full"))
    settings: dict[str, Any] = {"namespace": "looked-up", "storage": "class", "storage_size": "1Gi"}
    try:
        project.configure(storage_class="empty", **settings)
        # The Pod would wait ten minutes for its claim.
        project.pulumi("up", "--yes", "--skip-preview", "--exclude", "**::registry-workload-pod")
        assert lab.get("pvc", "repository", "looked-up")["status"]["phase"] == "Pending"
        project.configure(storage_class="full", **settings)
        project.up()
        assert lab.get("pvc", "repository-full", "looked-up")["status"]["phase"] == "Bound"
        project.configure(storage_class="empty", **settings)
        assert "`storage_class` was 'full' and cannot become 'empty'" in project.expect_refusal()
        project.configure(storage_class="full", **settings)
        assert "to create" not in project.pulumi("preview"), "the bound claim stays"
    finally:
        project.pulumi("destroy", "--yes", "--skip-preview")
        lab.kubectl("delete", "namespace", "looked-up", "--ignore-not-found")
        lab.kubectl("delete", "pv", "looked-up")
        lab.kubectl("delete", "storageclass", "empty", "full")


def test_a_tainted_node_is_refused_until_the_commands_of_the_remedy_have_run(lab: Lab, project: Project) -> None:
    lab.kubectl("taint", "node", "k8s-worker", "dedicated=true:NoSchedule")
    try:
        project.configure(node="k8s-worker", namespace="looked-up", storage_path="/var/lib/looked-up")
        output = project.expect_refusal()
        assert "`node` is 'k8s-worker', which has the taint dedicated=true:NoSchedule" in output
        first_command, second_command = output.partition("Run `")[2].partition("`")[0].split(" && ")
        for command in (first_command, second_command):
            arguments = command.removeprefix("pulumi ").replace("'", "").split()
            project.pulumi(*arguments)
        project.pulumi("preview")
    finally:
        lab.kubectl("taint", "node", "k8s-worker", "dedicated-")
