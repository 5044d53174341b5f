"""Kill the registry, update it during a slow push, and keep hundreds of connections half open.

Only a real kubelet, a real disk and real connections show which images are lost, and for how long clients wait.
"""

import random
import ssl
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from dev.cluster import network
from dev.cluster.plan import LAPTOP
from tests.e2e import faults
from tests.e2e.drills import traffic
from tests.e2e.drills.traffic import FULL
from tests.e2e.lab import ADDRESS, Lab, Registry, eventually
from tests.e2e.load import all_failures, under_load
from tests.e2e.test_workload import ready_pods

pytestmark = [pytest.mark.e2e, pytest.mark.drill]

KILLS = 36 if FULL else 2

CONNECTIONS = 300 if FULL else 60
"""Connections that are kept half open: a third silent, a third idle after TLS, a third with half a header."""

NAMESPACE = "drilled"

SETTINGS: dict[str, Any] = {
    **{"namespace": NAMESPACE, "storage_path": "/var/lib/drilled", "port": 5071},
    **{"exposure": "external-ips", "external_ips": [ADDRESS]},
}


def test_a_killed_registry_loses_no_accepted_image(
    lab: Lab, deploy_registry: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    lab.cluster.load_python()
    registry = deploy_registry("drilled", workload="deployment", scrub={"schedule": "30 4 * * *"}, **SETTINGS)
    order, seconds = random.Random(1), []
    with traffic.clients(registry) as results:
        for _ in range(KILLS):
            time.sleep(order.uniform(0.5, 2))
            seconds.append(kill_registry(lab, registry))
            renew_pod(lab)
    judgement = traffic.judge(registry, results)
    figures(
        f"{KILLS} x kill -9 during pushes: {judgement}; serves again after {statistics.median(seconds):.1f} s, "
        f"at most {max(seconds):.1f} s; {traffic.refusals(results)}"
    )
    assert judgement.broken == []
    assert judgement.accepted >= traffic.LEAST_PUSHES
    scrubbed = registry.ops("scrub", "--all", "--json", connects=False)
    assert scrubbed.returncode == 0, scrubbed.stdout + scrubbed.stderr


def kill_registry(lab: Lab, registry: Registry) -> float:
    """Kill the process of the registry. Return the seconds until it answers again."""
    (pod,) = [each for each in lab.api.objects("pods", NAMESPACE, labels=REGISTRY) if is_kept(each)]
    start = time.monotonic()
    faults.kill_container(lab, pod)
    eventually(60, "the registry has gone", lambda: restarts(lab, pod) > 0, pause=0.05)
    eventually(60, "the registry answers again", lambda: registry.status("/v2/") == 200, pause=0.05)
    return time.monotonic() - start


REGISTRY = "app.kubernetes.io/name=docker-registry"
"""Label selector of the registry's Pods."""


def is_kept(pod: dict[str, Any]) -> bool:
    return "deletionTimestamp" not in pod["metadata"]


def restarts(lab: Lab, pod: dict[str, Any]) -> int:
    metadata = pod["metadata"]
    return int(
        lab.get("pod", metadata["name"], metadata["namespace"])["status"]["containerStatuses"][0]["restartCount"]
    )


def renew_pod(lab: Lab) -> None:
    """Replace the Pod, because the kubelet waits longer and longer before it starts a container again."""
    before = {each["uid"] for each in ready_pods(lab, NAMESPACE)}
    lab.kubectl("delete", "pods", "--namespace", NAMESPACE, "--selector", REGISTRY, "--wait=false")
    eventually(60, "another Pod is ready", lambda: {each["uid"] for each in ready_pods(lab, NAMESPACE)} - before)


CASES: dict[str, dict[str, Any]] = {
    "bare Pod": {},
    "bare Pod with a proxy": {"anonymous_pull": ["public/*"]},
    "Deployment": {"workload": "deployment"},
}
"""Inputs by kind of workload."""

LONGEST_GAP = {"bare Pod": 12, "bare Pod with a proxy": 12, "Deployment": 3}
"""Seconds that clients may wait while `up` replaces the Pod during a slow push. A drain of 20 s would be longer."""


@pytest.mark.parametrize("kind", CASES if FULL else ["bare Pod"])
def test_an_update_during_a_slow_push_makes_a_short_gap(
    kind: str, deploy_registry: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    registry = deploy_registry("drilled", **CASES[kind], **SETTINGS)
    digest = registry.push("kept/layer")
    gaps = {}
    for level, push_seconds in [("warn", 0), ("debug", 40)]:
        with ExitStack() as stack:
            results = stack.enter_context(
                under_load(registry, f"/v2/kept/layer/blobs/{digest}", {"reconnecting": 2}, timeout=60)
            )
            if push_seconds:
                slow = stack.enter_context(traffic.clients(registry, "slow", seconds=push_seconds, size=10**6))
                time.sleep(2)  # the push has begun
            deploy_registry("drilled", log_level=level, **CASES[kind], **SETTINGS)
        gaps[push_seconds] = results["reconnecting"]["longest_gap"]
    outcome = "accepted" if slow["sent"] else f"cut ({traffic.refusals(slow)})"
    figures(f"{kind}: gap {gaps[0]:.1f} s; {gaps[40]:.1f} s with a push of 40 s in flight, which was {outcome}")
    assert max(gaps.values()) < LONGEST_GAP[kind]


def test_half_open_connections_do_not_stop_clients(
    lab: Lab, deploy_registry: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    registry = deploy_registry("drilled", **SETTINGS)
    digest = registry.push("kept/layer")
    with (
        half_open_connections(lab, registry),
        under_load(registry, f"/v2/kept/layer/blobs/{digest}", {"reconnecting": 2}) as results,
    ):
        time.sleep(30 if FULL else 3)
    assert all_failures(results) == []
    requests, gap = results["reconnecting"]["requests"], results["reconnecting"]["longest_gap"]
    figures(f"{CONNECTIONS} half-open connections: {requests} requests, 0 failed, longest gap {gap:.2f} s")
    assert requests > 20


@contextmanager
def half_open_connections(lab: Lab, registry: Registry) -> Iterator[None]:
    """Keep connections of three kinds open until the block ends."""
    host, port = registry.address.split(":")
    tls = ssl.create_default_context(cadata=registry.outputs["ca_pem"])
    with ExitStack() as stack:
        for number in range(CONNECTIONS):
            tcp = stack.enter_context(network.connect(lab.cluster.plan, LAPTOP, int(port), host, timeout=30))
            if number % 3:
                name = registry.outputs["endpoint"].rpartition(":")[0]
                wrapped = stack.enter_context(tls.wrap_socket(tcp, server_hostname=name))
                wrapped.sendall(b"GET /v2/ HTTP/1.1\r\nHost: " if number % 3 == 1 else b"")
        yield
