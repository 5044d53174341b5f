"""Find why the registry cannot use a server behind it: its S3 server, or the upstream that it mirrors.

The registry writes the cause to its log, or into its answer to a pull.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from .errors import CheckError, CommandError
from .kubernetes import CONTAINER, Object, connect, convert_api_errors, list_registry_pods, read_log
from .server_errors import HEALTH_CHECK, S3, UPSTREAM, Server, explain

PANIC = "panic: "
"""Text in front of the error that ended the registry at its start."""

PROBED_CONTAINERS = (CONTAINER, "proxy")
"""Containers whose readiness counts. With access rules, the kubelet probes the proxy instead of the registry."""

SILENT_SECONDS = 15
"""Seconds after the start of a container until its S3 server must have answered, or its log must have an error."""


def find_problem(pods: Iterable[Object]) -> CheckError | None:
    """Return why one of the registry's Pods cannot use a server behind it, or None if no Pod shows such a problem."""
    for pod in pods:
        if not pod["metadata"].get("deletionTimestamp") and (problem := _problem_of(pod)):
            return problem
    return None


def ask_cluster(namespace: str) -> CheckError | None:
    """Return the problem of the Pods in `namespace`, or None without a problem or without an answer of the cluster."""
    with suppress(CommandError), convert_api_errors():
        return find_problem(list_registry_pods(connect(), namespace))
    return None


def uses_store(pod: Object) -> bool:
    """Return whether the images of the Pod are in an object store, because it mounts no claim."""
    return not any("persistentVolumeClaim" in volume for volume in pod["spec"]["volumes"])


def is_ready(pod: Object) -> bool:
    """Return whether the registry's containers in the Pod are ready. Injected sidecars are ignored."""
    statuses = _container_statuses(pod)
    return CONTAINER in statuses and all(
        status.get("ready") for name, status in statuses.items() if name in PROBED_CONTAINERS
    )


def _container_statuses(pod: Object) -> dict[str, Object]:
    return {status["name"]: status for status in pod["status"].get("containerStatuses") or []}


def _problem_of(pod: Object) -> CheckError | None:
    """Return the last problem in the Pod's log, or a timeout if the log has none and an object store stays silent."""
    statuses = _container_statuses(pod)
    if CONTAINER not in statuses or is_ready(pod):
        return None
    for line in reversed(read_log(pod).splitlines()):
        if HEALTH_CHECK in line:
            return explain(S3, line)
        if line.startswith(PANIC) and (server := _server_in_panic(line)):
            return explain(server, line)
    if uses_store(pod) and _seconds_running(statuses[CONTAINER]) > SILENT_SECONDS:
        return explain(S3, "i/o timeout")  # the registry does not log that a connection takes too long
    return None


def _server_in_panic(line: str) -> Server | None:
    """Return the server that a panic is about, or None if the panic is about the registry itself.

    CNCF Distribution 2 asks the upstream at its start. The error then begins with `Get` and the URL.
    """
    if "s3aws" in line or "region" in line:
        return S3
    return UPSTREAM if line.startswith(f"{PANIC}Get ") else None


def _seconds_running(status: Object) -> float:
    """Return the seconds since the start of a container, or 0 if it does not run."""
    started: Any = (status.get("state") or {}).get("running", {}).get("startedAt")
    if not started:
        return 0
    start = started if isinstance(started, datetime) else datetime.fromisoformat(started)
    return (datetime.now(UTC) - start).total_seconds()
