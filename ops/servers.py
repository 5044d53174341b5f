"""Find why the registry cannot use a server behind it: its S3 server, or the upstream that it mirrors.

The registry writes the cause to its log, or into its answer to a pull.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from .errors import CheckError, CommandError
from .kubernetes import CONTAINER, Object, connect, convert_api_errors, list_registry_pods, read_log
from .server_errors import HEALTH_CHECK, S3, UPSTREAM, explain

PANIC = "panic: "
"""Text in front of the error that ended the registry at its start."""

FIRST_CHECK_SECONDS = 15
"""Seconds after the start of a container until its S3 server must have answered, or its log must have an error."""


def find_problem(pods: Iterable[Object]) -> CheckError | None:
    """Return why one of the registry's Pods cannot use the servers behind it, or None if every Pod can."""
    for pod in pods:
        if not pod["metadata"].get("deletionTimestamp") and (problem := _problem_of(pod)):
            return problem
    return None


def ask_cluster(namespace: str) -> CheckError | None:
    """Return the problem of the Pods in the cluster of the kubeconfig, or None also if it cannot be read."""
    with suppress(CommandError), convert_api_errors():
        return find_problem(list_registry_pods(connect(), namespace))
    return None


def uses_store(pod: Object) -> bool:
    """Return whether the images are in an object store: the Pod mounts no claim."""
    return not any("persistentVolumeClaim" in volume for volume in pod["spec"]["volumes"])


def _problem_of(pod: Object) -> CheckError | None:
    statuses = pod["status"].get("containerStatuses") or []
    status: Object = next((status for status in statuses if status["name"] == CONTAINER), {})
    if not status or status.get("ready"):
        return None
    for line in reversed(read_log(pod).splitlines()):
        if HEALTH_CHECK in line:
            return explain(S3, line)
        if line.startswith(PANIC):
            return explain(S3 if "s3aws" in line or "region" in line else UPSTREAM, line)
    if uses_store(pod) and _seconds_running(status) > FIRST_CHECK_SECONDS:
        return explain(S3, "i/o timeout")  # the registry does not log that a connection takes too long
    return None


def _seconds_running(status: Object) -> float:
    started: Any = (status.get("state") or {}).get("running", {}).get("startedAt")
    if not started:
        return 0
    start = started if isinstance(started, datetime) else datetime.fromisoformat(started)
    return (datetime.now(UTC) - start).total_seconds()
