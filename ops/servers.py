"""Find why the registry cannot use a server behind it: its object store, or the upstream that it mirrors.

The registry writes the cause to its log, or into its answer to a pull.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from .errors import CheckError
from .kubernetes import CONTAINER, Object, container_statuses, find_claim, read_log, start_of, time_of_readiness
from .server_errors import HEALTH_CHECK, S3, STORE, UPSTREAM, Server, explain, find_store

PANIC = "panic: "
"""Text in front of the error that ended the registry at its start."""

PROBED_CONTAINERS = (CONTAINER, "proxy")
"""Containers whose readiness counts. With access rules, the kubelet probes the proxy instead of the registry."""

SILENT_SECONDS = 20
"""Seconds for which a Pod is not ready until its log must have the cause.

The client of Azure repeats a refused connection for 7 to 13 seconds (seen with CNCF Distribution 3.1.2)."""


def find_problem(pods: Iterable[Object]) -> CheckError | None:
    """Return why one of the registry's Pods cannot use a server behind it, or None if no Pod shows such a problem."""
    for pod in pods:
        if not pod["metadata"].get("deletionTimestamp") and (problem := _problem_of(pod)):
            return problem
    return None


def is_ready(pod: Object) -> bool:
    """Return whether the registry's containers in the Pod are ready. Injected sidecars are ignored."""
    statuses = container_statuses(pod)
    return CONTAINER in statuses and all(
        status.get("ready") for name, status in statuses.items() if name in PROBED_CONTAINERS
    )


def _problem_of(pod: Object) -> CheckError | None:
    """Return the last problem in the Pod's log. Without one, return a timeout if the Pod is not ready for long."""
    statuses = container_statuses(pod)
    if CONTAINER not in statuses or is_ready(pod):
        return None
    for line in reversed(read_log(pod).splitlines()):
        if HEALTH_CHECK in line:
            return explain(find_store(line) or STORE, line)
        if line.startswith(PANIC) and (server := _server_in_panic(line)):
            return explain(server, line)
    if find_claim(pod) or _seconds_since(start_of(statuses[CONTAINER])) < SILENT_SECONDS:
        return None
    if _seconds_since(time_of_readiness(pod)) < SILENT_SECONDS:
        return CheckError(
            "The registry is not ready, and its log does not have the cause yet.",
            f"Its object store may be down. Wait {SILENT_SECONDS} seconds, then run this command again.",
        )
    return explain(STORE, "i/o timeout")  # the registry does not log that a connection takes too long


def _server_in_panic(line: str) -> Server | None:
    """Return the server that a panic is about, or None if the panic is about the registry itself.

    CNCF Distribution 2 asks the upstream at its start. The error then begins with `Get` and the URL.
    """
    if "region" in line:
        return S3
    return find_store(line) or (UPSTREAM if line.startswith(f"{PANIC}Get ") else None)


def _seconds_since(time: datetime | None) -> float:
    """Return the seconds since a time, or 0 without one."""
    return (datetime.now(UTC) - time).total_seconds() if time else 0
