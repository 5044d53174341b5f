"""Kill and freeze the object store, and push layers that are larger, or more at once, than an engine's own limits.

Only a real S3 server, and the memory of a real process, show what a push in flight costs.
"""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dev.cluster import process
from dev.cluster.plan import LAPTOP
from tests.e2e import faults
from tests.e2e import s3 as s3_server
from tests.e2e.drills import traffic
from tests.e2e.drills.traffic import FULL
from tests.e2e.lab import ADDRESS, Lab, Registry, eventually, read_location
from tests.e2e.s3 import S3

pytestmark = [pytest.mark.e2e, pytest.mark.drill]

KILLS = 6 if FULL else 1

FROZEN_SECONDS = 45 if FULL else 5

AT_ONCE = 64 if FULL else 16
"""Layers of `LAYER_BYTES` that are pushed at the same time. A Docker engine pushes five."""

LAYER_BYTES = 32 << 20

UNHURRIED = ("--max-time", "1800")
"""Arguments of curl. A layer of 6 GiB takes minutes."""

HUGE_BYTES = (6 << 30) if FULL else (64 << 20)
"""Bytes of one layer. S3 copies at most 5 GiB in one request, and Distribution copies 32 MiB or more in parts."""

NAMESPACE = "drilled-s3"


def deploy(deploy_registry: Callable[..., Registry], s3: S3, replicas: int = 1) -> Registry:
    inputs = {"storage": "s3", "s3_bucket": s3.bucket, "s3_endpoint": s3.endpoint, "s3_prefix": "drilled"}
    keys = {"s3_access_key": s3.access_key, "upstream_ca": s3.ca_pem}
    exposed = {"namespace": NAMESPACE, "port": 5072, "exposure": "external-ips", "external_ips": [ADDRESS]}
    secret = {"s3_secret_key": s3.secret_key}
    workload = {"workload": "deployment", "replicas": replicas}
    return deploy_registry(NAMESPACE, secret, **inputs, **keys, **exposed, **workload)


def test_a_killed_object_store_loses_no_accepted_image(
    lab: Lab, s3: S3, deploy_registry: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    registry = deploy(deploy_registry, s3)
    seconds = []
    with traffic.clients(registry) as results:
        for _ in range(KILLS):
            time.sleep(2)
            process.stop(lab.cluster.plan, LAPTOP, s3_server.NAME, grace=0)
            time.sleep(4)
            s3_server.start(lab.cluster, s3)
            start = time.monotonic()
            eventually(90, "a push is accepted", lambda: accepts_push(registry))
            seconds.append(time.monotonic() - start)
    judgement = traffic.judge(registry, results)
    figures(
        f"{KILLS} x kill -9 of the store, 4 s down: {judgement}; first push {max(seconds):.1f} s after its start at "
        f"the latest; {traffic.refusals(results)}"
    )
    assert judgement.broken == []
    assert judgement.accepted >= traffic.LEAST_PUSHES


def accepts_push(registry: Registry) -> bool:
    return registry.status("/v2/probe/blobs/uploads/", "--request", "POST", "--max-time", "3") == 202


def test_a_frozen_object_store_loses_no_accepted_image(
    lab: Lab, s3: S3, deploy_registry: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    registry = deploy(deploy_registry, s3)
    with traffic.clients(registry) as results:
        time.sleep(2)
        with s3_server.frozen(lab.cluster):
            time.sleep(FROZEN_SECONDS)
        start = time.monotonic()
        eventually(90, "a push is accepted", lambda: accepts_push(registry))
        seconds = time.monotonic() - start
    judgement = traffic.judge(registry, results)
    figures(
        f"store frozen for {FROZEN_SECONDS} s: {judgement}; first push {seconds:.1f} s after it; "
        f"{traffic.refusals(results)}"
    )
    assert judgement.broken == []


@pytest.mark.parametrize("replicas", [1, 2] if FULL else [1])
def test_many_large_layers_at_once_fit_into_the_memory(
    replicas: int, lab: Lab, s3: S3, deploy_registry: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    registry = deploy(deploy_registry, s3, replicas)
    with traffic.clients(registry, "at once", at_once=AT_ONCE, size=LAYER_BYTES, outages=False) as results:
        pass  # the clients stop when they have pushed
    pods = registry_pods(lab)
    peaks = [faults.peak_memory(lab, pod) for pod in pods]
    restarts = sum(status["restartCount"] for pod in pods for status in pod["status"]["containerStatuses"])
    (limit,) = {pod["spec"]["containers"][0]["resources"]["limits"]["memory"] for pod in pods}
    judgement = traffic.judge(registry, results)
    figures(
        f"{AT_ONCE} layers of {LAYER_BYTES >> 20} MiB at once, {replicas} replicas: {judgement}; at most "
        f"{max(peaks):.0f} MiB of {limit}, {restarts} restarts"
    )
    assert restarts == 0
    assert judgement == (AT_ONCE, [])


def test_a_huge_layer_is_pushed_and_pulled(
    s3: S3, deploy_registry: Callable[..., Registry], tmp_path: Path, figures: Callable[[str], None]
) -> None:
    registry, layer, pulled = deploy(deploy_registry, s3), tmp_path / "layer", tmp_path / "pulled"
    with layer.open("wb") as file:
        file.truncate(HUGE_BYTES)  # zeros, which take no space
    digest, path = f"sha256:{sha256(layer)}", registry.start_upload("huge")
    start = time.monotonic()
    patch = ("--request", "PATCH", "--upload-file", str(layer), "--dump-header", "-", *UNHURRIED)
    location = read_location(registry.curl(path, *patch).stdout).removeprefix(f"https://{registry.outputs['endpoint']}")
    assert registry.status(f"{location}&digest={digest}", "--request", "PUT", *UNHURRIED) == 201
    pushed = time.monotonic() - start
    assert registry.curl(f"/v2/huge/blobs/{digest}", "--output", str(pulled), *UNHURRIED).returncode == 0
    seconds = time.monotonic() - start - pushed
    figures(f"a layer of {HUGE_BYTES / (1 << 30):g} GiB: pushed in {pushed:.0f} s, pulled in {seconds:.0f} s")
    assert f"sha256:{sha256(pulled)}" == digest


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def registry_pods(lab: Lab) -> list[dict[str, Any]]:
    pods = lab.api.objects("pods", NAMESPACE, labels="app.kubernetes.io/name=docker-registry")
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
