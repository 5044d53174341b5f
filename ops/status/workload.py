"""Read what runs on the cluster: images of the Pods, free space of their volume, nodes with `node_trust`, and jobs."""

from datetime import UTC, datetime

from kubernetes.dynamic import DynamicClient

from registry.node_trust import APP as NODE_TRUST_APP
from registry.node_trust.for_registry import trust_namespace
from registry.storage import MOUNT_PATH

from ..errors import CheckError
from ..jobs import end_of, failure_of, find_cron_job, is_late, list_jobs, read_summary
from ..kubernetes import CONTAINER, exec_in_pod, list_objects, list_running_pods
from ..servers import uses_store
from .facts import DiskSpace, JobState, NodeTrust

DF = ("df", "-P", "-k", MOUNT_PATH)
"""Command whose POSIX output is a header and a line: device, size, used, available (KiB) and more."""


def read_images(client: DynamicClient, namespace: str) -> list[str]:
    """Return the distinct images of the registry containers. Injected sidecars are ignored."""
    containers = [container for pod in list_running_pods(client, namespace) for container in pod["spec"]["containers"]]
    return sorted({container["image"] for container in containers if container["name"] == CONTAINER})


def read_disk_space(client: DynamicClient, namespace: str) -> DiskSpace | None:
    """Return the space of the volume that the first running Pod mounts, or None if it mounts no volume."""
    pod = list_running_pods(client, namespace)[0]
    if uses_store(pod):
        return None
    return _parse_df(exec_in_pod(pod, DF))


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
    )


def _parse_df(output: str) -> DiskSpace:
    """Return size and free space from the output of `DF`. Raise `CheckError` with the output if it is an error."""
    try:
        _, size, _, free, *_ = output.splitlines()[1].split()
        return DiskSpace(int(size) * 1024, int(free) * 1024)
    except (ValueError, IndexError):
        text = " ".join(output.split()).rstrip(".") or "no output"
        raise CheckError(
            f"`df` in the Pod failed: {text}.", "Check the space on the node itself, because the image may lack `df`."
        ) from None
