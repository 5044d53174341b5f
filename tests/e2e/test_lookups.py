"""Look up existing objects at preview, and take another StorageClass after a claim that never bound.

Only the real engine and provider show that a preview ends in one sentence, and only a real cluster knows whether a
claim bound.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from dev.environment import PROJECT
from registry.validation.existing_objects import refuse_missing_object, refuse_other_namespace
from tests.e2e.lab import Lab, Project
from tests.e2e.messages import message
from tests.e2e.test_storage import apply, create_empty_folder, volume_manifest

pytestmark = pytest.mark.e2e

IN_NAMESPACE: dict[str, Any] = {"namespace": "looked-up", "create_namespace": False}
FIND = "Run `pulumi config set {1}` with a name from `kubectl get {0}`"

MISSING: list[tuple[dict[str, Any], tuple[str, str, str, str]]] = [
    # config, and key, kind, name and remedy of the refusal
    ({"node": "no-such-node"}, ("node", "node", "no-such-node", FIND.format("nodes", "node"))),
    (
        {**IN_NAMESPACE, "namespace": "nowhere"},
        (
            *("namespace", "namespace", "nowhere"),
            "Run `kubectl create namespace nowhere`, or `pulumi config set create_namespace true`",
        ),
    ),
    (
        {**IN_NAMESPACE, "storage": "claim", "storage_claim": "nothing"},
        ("storage_claim", "claim", "nothing", FIND.format("pvc --namespace looked-up", "storage_claim")),
    ),
    (
        {**IN_NAMESPACE, "tls_secret": "nothing"},
        ("tls_secret", "Secret", "nothing", FIND.format("secrets --namespace looked-up", "tls_secret")),
    ),
]

EXISTING = message(refuse_other_namespace, "looked-up", {"metadata": {"name": "looked-up"}}, is_own=False)

REFUSED = [
    *((config, refusal[0], message(refuse_missing_object, *refusal)) for config, refusal in MISSING),
    ({"namespace": "looked-up"}, "create_namespace", EXISTING),
]


@pytest.fixture
def project(lab: Lab, create_project: Callable[[str, str], Project]) -> Project:
    """Create a project with the repository's own program, which is not deployed yet."""
    created = create_project("looked-up", (PROJECT / "__main__.py").read_text())
    created.declare_config()
    return created


def test_a_missing_object_or_a_namespace_of_others_ends_the_preview_in_one_sentence(
    lab: Lab, project: Project, figures: Callable[[str], None]
) -> None:
    lab.kubectl("create", "namespace", "looked-up")
    try:
        for config, key, refusal in REFUSED:
            project.configure(**config)
            start = time.monotonic()
            output = project.expect_refusal()
            figures(f"{key}: preview refused after {time.monotonic() - start:.1f} s")
            errors = {line.partition("error: ")[2] for line in output.splitlines() if "error: " in line}
            exit_error = "an unhandled error occurred: program exited with non-zero exit code: 1"
            assert errors == {refusal, exit_error}
    finally:
        lab.kubectl("delete", "namespace", "looked-up")


def test_another_class_is_taken_after_a_claim_that_never_bound(lab: Lab, project: Project) -> None:
    create_empty_folder(lab, "/var/lib/looked-up")
    classes = [
        json.dumps(
            {
                **{"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}},
                **{"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"},
            }
        )
        for name in ("empty", "full")
    ]
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
        assert "to create" not in project.pulumi("preview"), "Nothing changes."
    finally:
        project.pulumi("destroy", "--yes", "--skip-preview")
        lab.kubectl("delete", "namespace", "looked-up", "--ignore-not-found")
        lab.kubectl("delete", "pv", "looked-up")
        lab.kubectl("delete", "storageclass", "empty", "full")


def test_a_tainted_node_is_refused_until_the_commands_of_the_remedy_were_run(lab: Lab, project: Project) -> None:
    lab.kubectl("taint", "node", "k8s-worker", "dedicated=true:NoSchedule")
    try:
        project.configure(node="k8s-worker", namespace="looked-up", storage_path="/var/lib/looked-up")
        output = project.expect_refusal()
        assert "`node` is 'k8s-worker', which has the taint dedicated=true:NoSchedule" in output
        first, second = output.partition("Run `")[2].partition("`")[0].split(" && ")
        for command in (first, second):
            arguments = command.removeprefix("pulumi ").replace("'", "").split()
            project.pulumi(*arguments)
        project.pulumi("preview")
    finally:
        lab.kubectl("taint", "node", "k8s-worker", "dedicated-")
