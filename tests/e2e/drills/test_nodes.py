"""Lose the node, its kubelet and its container runtime while clients push.

Only real kubelets, and the controllers that watch them, show where a Pod runs next, and when.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dev.cluster import cgroup, process
from dev.cluster.plan import MASTER, WORKER
from tests.e2e.drills import traffic
from tests.e2e.drills.traffic import FULL
from tests.e2e.lab import Lab, Registry, eventually, is_ready
from tests.e2e.s3 import S3
from tests.e2e.test_workload import ready_nodes

pytestmark = [pytest.mark.e2e, pytest.mark.drill]

KUBELET_SECONDS = 600 if FULL else 8
"""Seconds without a kubelet. After 40 the cluster counts the node as lost."""

NAMESPACE = "drilled-nodes"

SETTINGS: dict[str, Any] = {"namespace": NAMESPACE, "exposure": "node-port", "node_port": 30571}

ON_WORKER = {"node": WORKER.name, "storage_path": "/var/lib/drilled-nodes"}


def deploy_on_worker(deploy_registry: Callable[..., Registry]) -> Registry:
    """Deploy a bare Pod with its images in a folder of the worker. Clients connect to this node."""
    registry = deploy_registry("drilled-nodes", **ON_WORKER, **SETTINGS)
    return Registry(registry.project, registry.outputs, f"{WORKER.address}:{SETTINGS['node_port']}")


def test_a_restarted_container_runtime_interrupts_no_push(
    lab: Lab, deploy_registry: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    registry = deploy_on_worker(deploy_registry)
    with traffic.clients(registry, outages=False) as results:
        time.sleep(1)
        process.stop(lab.cluster.plan, WORKER, "containerd")
        time.sleep(2)
        lab.cluster.up()
        time.sleep(1)
    judgement = traffic.judge(registry, results)
    figures(f"containerd stopped for 2 s: {judgement}; {traffic.refusals(results)}")
    assert judgement.broken == []
    assert judgement.accepted >= traffic.LEAST_PUSHES


def test_a_stopped_kubelet_loses_no_accepted_image(
    lab: Lab, deploy_registry: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    registry = deploy_on_worker(deploy_registry)
    served = []
    with traffic.clients(registry) as results:
        process.stop(lab.cluster.plan, WORKER, "kubelet")
        start = time.monotonic()
        while time.monotonic() < start + KUBELET_SECONDS:
            served.append(registry.status("/v2/") == 200)
            time.sleep(1)
        lab.cluster.up()
        eventually(60, "the node is ready", lambda: is_ready(lab.get("node", WORKER.name)))
        eventually(60, "the registry answers", lambda: registry.status("/v2/") == 200)
    judgement = traffic.judge(registry, results)
    figures(
        f"no kubelet for {KUBELET_SECONDS} s: {judgement}; answered {sum(served)} of {len(served)} requests meanwhile; "
        f"{traffic.refusals(results)}"
    )
    assert judgement.broken == []
    assert served[0]


@contextmanager
def without_worker(lab: Lab) -> Iterator[None]:
    """Kill every process of the worker, as a cut of its power does, until the block ends."""
    cgroup.terminate(lab.cluster.plan.cgroup(WORKER), grace=0)
    try:
        yield
    finally:
        lab.cluster.up()
        eventually(60, "the node is ready", lambda: is_ready(lab.get("node", WORKER.name)))


def test_a_node_that_reboots_loses_no_accepted_image(
    lab: Lab, deploy_registry: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    registry = deploy_on_worker(deploy_registry)
    with traffic.clients(registry) as results:
        time.sleep(2)
        with without_worker(lab):
            time.sleep(2)
        start = time.monotonic()
        eventually(120, "the registry answers", lambda: registry.status("/v2/") == 200)
        seconds = time.monotonic() - start
        time.sleep(1)
    judgement = traffic.judge(registry, results)
    figures(
        f"node down for 2 s: {judgement}; serves {seconds:.1f} s after the node is ready; {traffic.refusals(results)}"
    )
    assert judgement.broken == []


def test_a_deployment_on_s3_leaves_a_lost_node(
    lab: Lab, s3: S3, deploy_registry: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    inputs = {"storage": "s3", "s3_bucket": s3.bucket, "s3_endpoint": s3.endpoint, "s3_prefix": "nodes"}
    keys = {"s3_access_key": s3.access_key, "upstream_ca": s3.ca_pem, "workload": "deployment"}
    lab.kubectl("cordon", MASTER.name)
    try:
        registry = deploy_registry("drilled-nodes", {"s3_secret_key": s3.secret_key}, **inputs, **keys, **SETTINGS)
    finally:
        lab.kubectl("uncordon", MASTER.name)
    assert ready_nodes(lab, NAMESPACE) == [WORKER.name]
    with traffic.clients(registry) as results:
        time.sleep(2)
        start = time.monotonic()
        with without_worker(lab):
            eventually(120, "the registry answers", lambda: registry.status("/v2/", "--max-time", "1") == 200)
            seconds = time.monotonic() - start
            time.sleep(2)
    judgement = traffic.judge(registry, results)
    figures(f"node lost for good: {judgement}; serves on the other node after {seconds:.0f} s")
    assert judgement.broken == []
