"""Replace, evict and lose Pods of a Deployment, without a failed request or a lost image.

No offline test can show this, because only real kubelets and kube-proxies decide how long a Pod gets connections.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dev.cluster import process
from dev.cluster.plan import NODES
from tests.e2e.lab import Lab, Registry, eventually, is_ready
from tests.e2e.load import all_failures, under_load
from tests.e2e.s3 import S3

pytestmark = pytest.mark.e2e

SETTINGS: dict[str, Any] = {
    "workload": "deployment",
    "namespace": "deployed",
    "storage_path": "/var/lib/deployed",
    "exposure": "node-port",
    "node_port": 30511,
}
CLIENTS = {"reconnecting": 4}
"""Number of clients by kind (`load_clients.py`)."""


def test_on_one_node_a_new_pod_is_ready_before_the_old_one_stops(
    lab: Lab, deploy_registry: Callable[..., Registry]
) -> None:
    registry = deploy_registry("deployed", **SETTINGS)
    digest = registry.push("kept/layer")
    with under_load(registry, f"/v2/kept/layer/blobs/{digest}", CLIENTS) as results:
        for level in ("debug", "warn", "info"):
            deploy_registry("deployed", log_level=level, **SETTINGS)
    assert all_failures(results) == []
    assert results["reconnecting"]["requests"] > 10, "the clients ran"
    assert lab.get("deployment", "docker-registry", "deployed")["status"]["readyReplicas"] == 1
    assert "poddisruptionbudget" not in lab.kubectl("get", "pdb", "--namespace", "deployed", "--output", "name")


def test_an_evicted_replica_is_replaced_and_serves_its_images(
    lab: Lab, deploy_registry: Callable[..., Registry]
) -> None:
    registry = deploy_registry("deployed", **SETTINGS)
    digest = registry.push("kept/evicted")
    (before,) = pods(lab, "deployed")
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": before["metadata"]["name"], "namespace": "deployed"},
    }
    path = f"/api/v1/namespaces/deployed/pods/{before['metadata']['name']}/eviction"
    lab.environment.run("kubectl", "create", "--raw", path, "--filename", "-", stdin=json.dumps(eviction))
    eventually(
        60, "another replica is ready", lambda: any(each["uid"] != uid(before) for each in ready_pods(lab, "deployed"))
    )
    eventually(30, "the new replica serves the image", lambda: registry.has("kept/evicted", digest))
    registry.project.up("--expect-no-changes")


def test_two_replicas_survive_a_drain_and_the_loss_of_a_node(
    lab: Lab, deploy_registry: Callable[..., Registry], s3: S3
) -> None:
    settings = {
        "workload": "deployment",
        "replicas": 2,
        "namespace": "spread",
        "storage": "s3",
        "s3_bucket": s3.bucket,
        "s3_endpoint": s3.endpoint,
        "s3_prefix": "spread",
        "upstream_ca": s3.ca_pem,
        "s3_access_key": s3.access_key,
        "exposure": "node-port",
        "node_port": 30512,
        "anonymous_pull": ["public/*"],  # each replica has its own proxy
    }
    registry = deploy_registry("spread", {"s3_secret_key": s3.secret_key}, **settings)
    digest = registry.push("kept/spread")
    assert sorted(each["spec"]["nodeName"] for each in pods(lab, "spread")) == ["k8s-master", "k8s-worker"]
    level = lab.get("namespace", "spread")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert level == "restricted"
    with under_load(registry, f"/v2/kept/spread/blobs/{digest}", CLIENTS) as results:
        lab.kubectl("drain", "k8s-worker", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s")
        eventually(
            60, "both replicas are ready on the other node", lambda: ready_nodes(lab, "spread") == ["k8s-master"] * 2
        )
    assert all_failures(results) == []
    assert results["reconnecting"]["requests"] > 10, "the clients ran"
    lab.kubectl("uncordon", "k8s-worker")
    lab.kubectl("delete", "pod", "--namespace", "spread", pods(lab, "spread")[0]["metadata"]["name"])
    eventually(
        60, "one replica is ready on each node", lambda: ready_nodes(lab, "spread") == ["k8s-master", "k8s-worker"]
    )
    with without_kubelet(lab, "k8s-worker"):
        eventually(
            180, "both replicas are ready without the node", lambda: ready_nodes(lab, "spread") == ["k8s-master"] * 2
        )
        assert registry.has("kept/spread", digest)


@contextmanager
def without_kubelet(lab: Lab, name: str) -> Iterator[None]:
    """Stop the kubelet of a node until the block ends, so that the cluster counts the node as lost."""
    (host,) = [each for each in NODES if each.name == name]
    process.stop(lab.cluster.plan, host, "kubelet")
    try:
        yield
    finally:
        lab.cluster.up()
        eventually(60, "the node is ready", lambda: is_ready(lab.get("node", name)))


def pods(lab: Lab, namespace: str) -> list[dict[str, Any]]:
    """Return the Pods that are not being deleted."""
    return [each for each in lab.api.objects("pods", namespace) if "deletionTimestamp" not in each["metadata"]]


def ready_pods(lab: Lab, namespace: str) -> list[dict[str, Any]]:
    """Return the UIDs and nodes of the ready Pods."""
    return [{"uid": uid(each), "node": each["spec"]["nodeName"]} for each in pods(lab, namespace) if is_ready(each)]


def ready_nodes(lab: Lab, namespace: str) -> list[str]:
    """Return the node of each ready Pod, in alphabetical order."""
    return sorted(each["node"] for each in ready_pods(lab, namespace))


def uid(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["uid"])
