"""Run `ops verify --from-nodes`: each node pulls an image or reports a cause, and all objects are deleted.

Only a real containerd pulls an image, and fails with real causes.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dev.cluster.plan import NODES, WORKER
from ops.verify.pull_manifests import LABEL
from tests.e2e.lab import ADDRESS, Lab, Registry
from tests.e2e.test_pull_secrets import resolved_but_not_trusted

pytestmark = pytest.mark.e2e

SETTINGS: dict[str, Any] = {
    "namespace": "pulled",
    "storage_path": "/var/lib/pulled",
    "port": 5026,
    "allow_delete": True,
    "exposure": "external-ips",
    "external_ips": [ADDRESS],
}


def pull_results(lab: Lab, registry: Registry) -> dict[str, dict[str, Any]]:
    """Return the result of each node. Check that the command deleted its objects and printed no secret."""
    done = registry.ops("verify", "--from-nodes", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == (0 if report["passed"] else 1), done.stderr
    assert registry.outputs["password"] not in done.stdout + done.stderr
    assert report["checks"][-1]["title"] == "clean-up"
    assert report["checks"][-1]["seen"] == "deleted", "after all pulls ended"
    assert lab.kubectl("get", "pods,secrets", "--namespace", "pulled", "--selector", LABEL, "--output", "name") == ""
    pulls = [check for check in report["checks"] if "pull on " in check["title"]]
    results = {check["title"].removeprefix("pull on "): check for check in pulls}
    assert sorted(results) == sorted(node.name for node in NODES)
    return results


def test_nodes_pull_if_they_trust_the_ca_and_otherwise_report_the_cause(
    lab: Lab, deploy_registry: Callable[..., Registry]
) -> None:
    """Only a real containerd pulls an image, and fails with real causes."""
    registry = deploy_registry("pulled", **SETTINGS)
    failed_pulls = {
        "no such host": pull_results(lab, registry),
        "x509": _pull_results_without_trust(lab, registry),
    }
    for cause, results in failed_pulls.items():
        for result in results.values():
            assert not result["passed"]
            assert cause in result["seen"]
            assert "node_trust true" in result["remedy"]

    registry = deploy_registry("pulled", node_trust=True, **SETTINGS)
    # The strictest Pod Security and a taint must not prevent the pull.
    lab.kubectl("label", "--overwrite", "namespace", "pulled", "pod-security.kubernetes.io/enforce=restricted")
    lab.kubectl("taint", "node", WORKER.name, "reserved=true:NoExecute")
    try:
        results = pull_results(lab, registry)
    finally:
        lab.kubectl("taint", "node", WORKER.name, "reserved:NoExecute-")
    assert {name: result["passed"] for name, result in results.items()} == {node.name: True for node in NODES}
    assert all(result["seen"].startswith("pulled in ") for result in results.values())
    assert all(result["seconds"] < 60 for result in results.values())


def _pull_results_without_trust(lab: Lab, registry: Registry) -> dict[str, dict[str, Any]]:
    with resolved_but_not_trusted(lab, registry):
        return pull_results(lab, registry)
