"""`python -m ops verify --from-nodes`: each node says for itself whether it can pull, and nothing is left behind."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dev.cluster.plan import NODES
from ops.visitors import LABEL
from tests.e2e.lab import ADDRESS, Lab, Registry
from tests.e2e.test_pull_secrets import found_and_not_trusted
from tests.e2e.test_status import ops

pytestmark = pytest.mark.e2e

WORKER = NODES[1].name
WHERE: dict[str, Any] = {
    **{"namespace": "pulled", "storage_path": "/var/lib/pulled", "port": 5026, "allow_delete": True},
    **{"exposure": "external-ips", "external_ips": [ADDRESS]},
}


def rows(lab: Lab, served: Registry) -> dict[str, dict[str, Any]]:
    """What each node says, after a visit that cleaned up after itself; it holds no secret."""
    done = ops(served, "verify", "--from-nodes", "--json")
    shown = json.loads(done.stdout)
    assert done.returncode == (0 if shown["passed"] else 1), done.stderr
    assert served.outputs["password"] not in done.stdout + done.stderr
    assert shown["checks"][-1]["title"] == "clean-up"
    assert shown["checks"][-1]["seen"] == "deleted", "after the nodes, which needed it"
    assert lab.kubectl("get", "pods,secrets", "--namespace", "pulled", "--selector", LABEL, "--output", "name") == ""
    found = {each["title"].removeprefix("pull on "): each for each in shown["checks"] if "pull on " in each["title"]}
    assert sorted(found) == sorted(node.name for node in NODES)
    return found


def test_nodes_that_trust_it_pull_and_others_say_why_not(lab: Lab, registry: Callable[..., Registry]) -> None:
    served = registry("pulled", **WHERE)
    for cause, told in {
        "no such host": rows(lab, served),
        "x509: the node does not trust the registry's CA": _untrusting(lab, served),
    }.items():
        for node in told.values():
            assert not node["passed"]
            assert node["seen"].startswith(cause)
            assert "node_trust: true" in node["remedy"]

    served = registry("pulled", node_trust=True, **WHERE)
    lab.kubectl("label", "--overwrite", "namespace", "pulled", "pod-security.kubernetes.io/enforce=restricted")
    lab.kubectl("taint", "node", WORKER, "kept=free:NoExecute")
    try:
        trusting = rows(lab, served)
    finally:
        lab.kubectl("taint", "node", WORKER, "kept:NoExecute-")
    assert {name: node["passed"] for name, node in trusting.items()} == {node.name: True for node in NODES}
    assert all(node["seen"].startswith("pulled in ") for node in trusting.values())
    assert all(node["seconds"] < 60 for node in trusting.values())


def _untrusting(lab: Lab, served: Registry) -> dict[str, dict[str, Any]]:
    with found_and_not_trusted(lab, served):
        return rows(lab, served)
