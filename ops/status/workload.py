"""Read the state of the cluster: the Pods with their images, terminations and volume, `node_trust`, and jobs."""

from collections.abc import Iterator
from datetime import UTC, datetime

from kubernetes.dynamic import DynamicClient

from registry.context import NAME
from registry.node_trust import APP as NODE_TRUST_APP
from registry.node_trust.for_registry import trust_namespace

from .. import volume
from ..jobs import end_of, failure_of, find_cron_job, is_late, last_success, list_jobs, next_run, read_summary
from ..kubernetes import (
    CONTAINER,
    Object,
    find_claim,
    get_object,
    list_objects,
    list_registry_pods,
    list_running_pods,
    parse_time,
    pod_conditions,
)
from ..servers import PROBED_CONTAINERS
from ..volume import DiskSpace
from .facts import JobState, NodeTrust, TerminatedContainer, VolumeState


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


def read_terminated_containers(client: DynamicClient, namespace: str) -> list[TerminatedContainer]:
    """Return the last termination of each restarted container, the latest one first."""
    pods = list_registry_pods(client, namespace)
    terminated = [container for pod in pods for container in _terminated_containers_of(pod)]
    return sorted(terminated, key=lambda container: container.hours)


def read_node_trust(client: DynamicClient, namespace: str) -> NodeTrust | None:
    """Return the counts of the DaemonSet of `node_trust` and its nodes, or None if there is no DaemonSet."""
    agents = trust_namespace(namespace)
    found = list_objects(client, "DaemonSet", agents, field_selector=f"metadata.name={NODE_TRUST_APP}")
    if not found:
        return None
    nodes: dict[str, bool] = {}
    for pod in list_objects(client, "Pod", agents, label_selector=f"{NAME}={NODE_TRUST_APP}"):
        if node := pod["spec"].get("nodeName"):
            nodes[node] = nodes.get(node, False) or _is_ready(pod)  # an update runs two Pods on a node
    status = found[0]["status"]
    return NodeTrust(status.get("numberReady", 0), status.get("desiredNumberScheduled", 0), dict(sorted(nodes.items())))


def read_job(client: DynamicClient, namespace: str, task: str) -> JobState | None:
    """Return the last run of a maintenance job, or None if its input is not set."""
    cron_job = find_cron_job(client, namespace, task)
    if cron_job is None:
        return None
    now = datetime.now(UTC)
    jobs = [job for job in list_jobs(client, namespace, cron_job) if end_of(job) is not None]
    last = max(jobs, key=lambda job: str(end_of(job)), default=None)
    ended = end_of(last) if last is not None else None
    summary = read_summary(client, namespace, last) if last is not None else {}
    error = failure_of(last, summary) if last is not None else ""
    return JobState(
        cron_job["metadata"]["name"],
        (now - ended).total_seconds() / 3600 if ended is not None else None,
        error,
        is_late(cron_job, now),
        summary,
        bool(cron_job["spec"].get("suspend")),
        cron_job["spec"]["schedule"],
        _as_text(last_success(cron_job) if error else ended or last_success(cron_job)),
        _as_text(next_run(cron_job, now)),
    )


def _is_ready(pod: Object) -> bool:
    return pod_conditions(pod).get("Ready", {}).get("status") == "True"


def _as_text(moment: datetime | None) -> str:
    """Return a time for the JSON, or "" for None."""
    return moment.isoformat() if moment else ""


def _terminated_containers_of(pod: Object) -> Iterator[TerminatedContainer]:
    """Yield the last terminations of the component's containers. Injected sidecars are ignored."""
    limits = {
        container["name"]: ((container.get("resources") or {}).get("limits") or {}).get("memory", "")
        for container in pod["spec"]["containers"]
    }
    for status in pod["status"].get("containerStatuses") or []:
        # A container that waits for its next start has its termination in `state`, or in `lastState`.
        terminated = next(
            (state["terminated"] for key in ("state", "lastState") if "terminated" in (state := status.get(key) or {})),
            None,
        )
        if status["name"] in PROBED_CONTAINERS and terminated:
            yield TerminatedContainer(
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
