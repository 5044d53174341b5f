"""Find why the registry cannot use a server behind it: its S3 server, or the upstream that it mirrors.

The registry writes the cause to its log, or into its answer to a pull.
"""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from kubernetes.dynamic import DynamicClient

from .errors import CheckError, CommandError
from .kubernetes import CONTAINER, Object, connect, convert_api_errors, list_objects, read_log
from .server_errors import HEALTH_CHECK, S3, UPSTREAM, explain
from .stack import REGISTRY_SELECTOR

PANIC = "panic: "
"""Text in front of the error that ended the registry at its start."""

FIRST_CHECK_SECONDS = 15
"""Seconds after the start of a container until its S3 server must have answered, or its log must have an error."""


def find_problem(client: DynamicClient, namespace: str) -> CheckError | None:
    """Return why a Pod of the registry cannot use the servers behind it, or None if every Pod can."""
    for pod in list_objects(client, "Pod", namespace, label_selector=REGISTRY_SELECTOR):
        if not pod["metadata"].get("deletionTimestamp") and (problem := _problem_of(pod)):
            return problem
    return None


def ask_cluster(namespace: str) -> CheckError | None:
    """Return the same as `find_problem`, with the cluster of the kubeconfig. None also if it cannot be read."""
    with suppress(CommandError), convert_api_errors():
        return find_problem(connect(), namespace)
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
