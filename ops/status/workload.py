"""Read what runs on the cluster: the Pods with their images, ends and volume, nodes with `node_trust`, and jobs."""

from collections.abc import Iterator
from datetime import UTC, datetime

from kubernetes.dynamic import DynamicClient

from registry.node_trust import APP as NODE_TRUST_APP
from registry.node_trust.for_registry import trust_namespace

from .. import volume
from ..jobs import end_of, failure_of, find_cron_job, is_late, list_jobs, read_summary
from ..kubernetes import (
    CONTAINER,
    Object,
    find_claim,
    get_object,
    list_objects,
    list_registry_pods,
    list_running_pods,
    parse_time,
)
from ..servers import PROBED_CONTAINERS
from ..volume import DiskSpace
from .facts import ContainerEnd, JobState, NodeTrust, VolumeState


def read_images(client: DynamicClient, namespace: str) -> list[str]:
    """Return the distinct images of the registry containers. Injected sidecars are ignored."""
    containers = [container for pod in list_running_pods(client, namespace) for container in pod["spec"]["containers"]]
    return sorted({container["image"] for container in containers if container["name"] == CONTAINER})


def read_disk_space(client: DynamicClient, namespace: str) -> DiskSpace | None:
    """Return the space of the volume that the first running Pod mounts, or None if it mounts no volume."""
    pod = list_running_pods(client, namespace)[0]
    return volume.read_disk_space(client, pod) if find_claim(pod) else None


def read_volume(client: DynamicClient, namespace: str) -> VolumeState | None:
    """Return the claim and the volume of the first running Pod, or None if it mounts no volume."""
    pod = list_running_pods(client, namespace)[0]
    claim_name = find_claim(pod)
    if not claim_name:
        return None
    objects = {
        "claim": get_object(client, "PersistentVolumeClaim", claim_name, namespace),
        "volume": volume.find_volume(client, pod),
    }
    deleted = [
        f"{kind} {item['metadata']['name']}"
        for kind, item in objects.items()
        if item is not None and item["metadata"].get("deletionTimestamp")
    ]
    name = objects["volume"]["metadata"]["name"] if objects["volume"] is not None else ""
    return VolumeState(claim_name, name, deleted, bool(volume.folder_on_node(objects["volume"])))


def read_ends(client: DynamicClient, namespace: str) -> list[ContainerEnd]:
    """Return the last end of each container that was started again, the latest one first."""
    ends = [end for pod in list_registry_pods(client, namespace) for end in _ends_of(pod)]
    return sorted(ends, key=lambda end: end.hours)


def read_node_trust(client: DynamicClient, namespace: str) -> NodeTrust | None:
    """Return the counts of the DaemonSet of `node_trust`, or None if there is no DaemonSet."""
    selector = f"metadata.name={NODE_TRUST_APP}"
    for daemon_set in list_objects(client, "DaemonSet", trust_namespace(namespace), field_selector=selector):
        status = daemon_set["status"]
        return NodeTrust(status.get("numberReady", 0), status.get("desiredNumberScheduled", 0))
    return None


def read_job(client: DynamicClient, namespace: str, task: str) -> JobState | None:
    """Return the last run of a maintenance job, or None if the job is not set."""
    cron_job = find_cron_job(client, namespace, task)
    if cron_job is None:
        return None
    now = datetime.now(UTC)
    jobs = [job for job in list_jobs(client, namespace, cron_job) if end_of(job) is not None]
    last = max(jobs, key=lambda job: str(end_of(job)), default=None)
    ended = end_of(last) if last is not None else None
    summary = read_summary(client, namespace, last) if last is not None else {}
    return JobState(
        cron_job["metadata"]["name"],
        (now - ended).total_seconds() / 3600 if ended is not None else None,
        failure_of(last, summary) if last is not None else "",
        is_late(cron_job, now),
        summary,
        bool(cron_job["spec"].get("suspend")),
    )


def _ends_of(pod: Object) -> Iterator[ContainerEnd]:
    """Yield the ends of the component's containers. Injected sidecars are ignored."""
    limits = {
        container["name"]: ((container.get("resources") or {}).get("limits") or {}).get("memory", "")
        for container in pod["spec"]["containers"]
    }
    for status in pod["status"].get("containerStatuses") or []:
        # A container that waits for its next start has its end in `state`, or in `lastState`.
        terminated = next(
            (state["terminated"] for key in ("state", "lastState") if "terminated" in (state := status.get(key) or {})),
            None,
        )
        if status["name"] in PROBED_CONTAINERS and terminated:
            yield ContainerEnd(
                pod["metadata"]["name"],
                status["name"],
                status.get("restartCount", 0),
                terminated.get("reason") or "Error",
                terminated.get("exitCode", 0),
                hours_since(terminated.get("finishedAt")),
                limits.get(status["name"], ""),
            )


def hours_since(moment: str | None) -> float:
    """Return the hours since a time of the API server, or 0 without a time."""
    if not moment:
        return 0
    return (datetime.now(UTC) - parse_time(moment)).total_seconds() / 3600
