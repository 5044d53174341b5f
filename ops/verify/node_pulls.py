"""Have the kubelet of every node pull the test image, as it would for any Pod.

A session creates one Pod for each node and a pull Secret, all in the registry's namespace. It deletes them at its end,
also after an error. If a session is killed, a later session deletes them. The image contains no program, so the Pods
fail once the image was pulled.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient

from ..errors import CheckError
from ..kubernetes import TIMEOUT, Object, api_error_message, convert_api_errors, list_objects
from ..stack import Outputs
from .pull_manifests import LABEL, build_pod, build_pull_secret
from .pull_outcome import read_outcome

PULL_TIMEOUT = 60.0
"""Seconds to wait for all nodes, which pull at the same time."""

POLL_INTERVAL = 0.3
"""Seconds between two reads of the Pods."""

STALE_AGE = timedelta(minutes=10)
"""Minimum age of objects of a killed session. This machine's clock may be minutes ahead of the cluster's."""


class NodePull(NamedTuple):
    """The outcome of the pull on one node: a summary or an error, after some seconds."""

    node: str
    outcome: str | CheckError
    seconds: float


def pull_on_every_node(client: DynamicClient, outputs: Outputs, reference: str) -> Iterator[NodePull]:
    """Pull `reference` on every node and yield the outcomes as they arrive. Raise `ClusterError` if the API refuses."""
    start = time.monotonic()
    with convert_api_errors(), _pull_session(client, outputs) as session:
        waiting = {}
        for number, node in enumerate(list_objects(client, "Node")):
            name = node["metadata"]["name"]
            pod = build_pod(session, number, outputs, name, reference)
            error = _node_error(node) or _create_pod(client, pod)
            if error:
                yield NodePull(name, error, time.monotonic() - start)
            else:
                waiting[pod["metadata"]["name"]] = name
        while waiting and time.monotonic() < start + PULL_TIMEOUT:
            for pod_name, outcome in _read_outcomes(client, outputs.namespace, session, waiting).items():
                yield NodePull(waiting.pop(pod_name), outcome, time.monotonic() - start)
            time.sleep(POLL_INTERVAL if waiting else 0)
        for name in waiting.values():
            error = CheckError(
                f"The node did not pull the image within {PULL_TIMEOUT:.0f} seconds.",
                f"Check with `kubectl describe node {name}` that its kubelet runs.",
            )
            yield NodePull(name, error, time.monotonic() - start)


@contextmanager
def _pull_session(client: DynamicClient, outputs: Outputs) -> Iterator[str]:
    """Create the pull Secret and yield the session's name. At the end, delete every object of the session."""
    _delete_stale(client, outputs.namespace)
    session = f"ops-verify-{secrets.token_hex(4)}"
    try:
        _create(client, build_pull_secret(session, outputs))
        yield session
    finally:
        _delete_session(client, outputs.namespace, session)


def _delete_stale(client: DynamicClient, namespace: str) -> None:
    """Delete the objects of sessions that were killed, because their Secrets hold a password."""
    limit = datetime.now(UTC) - STALE_AGE
    for secret in list_objects(client, "Secret", namespace, label_selector=LABEL):
        if datetime.fromisoformat(secret["metadata"]["creationTimestamp"]) < limit:
            _delete_session(client, namespace, secret["metadata"]["labels"][LABEL])


def _delete_session(client: DynamicClient, namespace: str, session: str) -> None:
    for kind in ("Secret", "Pod"):
        resource = client.resources.get(api_version="v1", kind=kind)
        client.delete(
            resource,
            namespace=namespace,
            body={"gracePeriodSeconds": 0},  # the Pod of a node that is down would stay otherwise
            label_selector=f"{LABEL}={session}",
            _request_timeout=TIMEOUT,
        )


def _read_outcomes(
    client: DynamicClient, namespace: str, session: str, waiting: dict[str, str]
) -> dict[str, str | CheckError]:
    """Return the new outcomes by name of the Pod. `waiting` has the names of the Pods without an outcome."""
    pods = list_objects(client, "Pod", namespace, label_selector=f"{LABEL}={session}")
    events = list_objects(client, "Event", namespace, field_selector="involvedObject.kind=Pod")
    outcomes = {}
    for pod in pods:
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        pod_events = [event for event in events if event["involvedObject"].get("uid") == uid]
        outcome = read_outcome(pod, pod_events) if name in waiting else None
        if outcome is not None:
            outcomes[name] = outcome
    return outcomes


def _node_error(node: Object) -> CheckError | None:
    """Return an error if the node is not ready, because its pull would only time out."""
    conditions = node["status"].get("conditions", [])
    ready: Object = next((condition for condition in conditions if condition["type"] == "Ready"), {})
    if ready.get("status") == "True":
        return None
    reason = ready.get("message", "it has never been ready").rstrip(".")
    return CheckError(f"The node is not ready: {reason}.", f"See `kubectl describe node {node['metadata']['name']}`.")


def _create_pod(client: DynamicClient, pod: Object) -> CheckError | None:
    """Create the Pod. Return an error if the API server refuses it."""
    try:
        _create(client, pod)
    except ApiException as error:
        return CheckError(
            f"The Pod was refused: {api_error_message(error)}.",
            f"See `kubectl -n {pod['metadata']['namespace']} get resourcequotas,limitranges` and the cluster's "
            "admission webhooks.",
        )
    return None


def _create(client: DynamicClient, manifest: Object) -> None:
    resource = client.resources.get(api_version="v1", kind=manifest["kind"])
    client.create(resource, body=manifest, namespace=manifest["metadata"]["namespace"], _request_timeout=TIMEOUT)
