"""What a node makes of the registry: its kubelet pulls the image that was pushed, as it would for anybody's Pod.

A Pod a node, pinned there, and the Secret that they pull with, all in the registry's own namespace; they are deleted
whatever happens. The image holds nothing that could run, so what counts is that it was pulled.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient

from . import cluster, visitors
from .causes import Fault
from .pulls import outcome
from .stack import Outputs
from .visitors import LABEL, Object

PATIENCE = 60.0
"""Seconds for all nodes, which pull at the same time."""

PAUSE = 0.3
"""Seconds between two looks."""

LEFT_BEHIND = timedelta(minutes=10)
"""Age of what no visit needs any more, though this machine's clock be minutes ahead of the cluster's."""


class Pull(NamedTuple):
    """What came of it on one node, and after how many seconds."""

    node: str
    found: str | Fault
    seconds: float


def pull_on_every_node(client: DynamicClient, outputs: Outputs, reference: str) -> Iterator[Pull]:
    """A pull of `reference` on each node, in the order of their answers."""
    began = time.monotonic()
    with cluster.in_sight(), _visit(client, outputs) as visit:
        waiting = {}
        for number, node in enumerate(cluster.listed(client, "Node")):
            name = node["metadata"]["name"]
            pod = visitors.pod(visit, number, outputs, name, reference)
            refused = _unready(node) or _begin(client, pod)
            if refused:
                yield Pull(name, refused, time.monotonic() - began)
            else:
                waiting[pod["metadata"]["name"]] = name
        while waiting and time.monotonic() < began + PATIENCE:
            for answered, found in _looked_at(client, outputs.namespace, visit, waiting).items():
                yield Pull(waiting.pop(answered), found, time.monotonic() - began)
            time.sleep(PAUSE if waiting else 0)
        for name in waiting.values():
            remedy = f"see `kubectl describe node {name}`: is its kubelet up?"
            yield Pull(name, Fault(f"no answer within {PATIENCE:.0f} s", remedy), time.monotonic() - began)


@contextmanager
def _visit(client: DynamicClient, outputs: Outputs) -> Iterator[str]:
    """The visit's name; what bears it is gone after the block."""
    _sweep(client, outputs.namespace)
    visit = f"ops-verify-{secrets.token_hex(4)}"
    try:
        _create(client, visitors.secret(visit, outputs))
        yield visit
    finally:
        _delete(client, outputs.namespace, visit)


def _sweep(client: DynamicClient, namespace: str) -> None:
    """Delete what a visit left behind that was killed: its Secret has a password in it."""
    old = datetime.now(UTC) - LEFT_BEHIND
    for each in cluster.listed(client, "Secret", namespace, label_selector=LABEL):
        if datetime.fromisoformat(each["metadata"]["creationTimestamp"]) < old:
            _delete(client, namespace, each["metadata"]["labels"][LABEL])


def _delete(client: DynamicClient, namespace: str, visit: str) -> None:
    for kind in ("Secret", "Pod"):
        found = client.resources.get(api_version="v1", kind=kind)
        at_once = {"gracePeriodSeconds": 0}  # a node that is down would keep its Pod
        of_it = {"label_selector": f"{LABEL}={visit}", "_request_timeout": cluster.TIMEOUT}
        client.delete(found, namespace=namespace, body=at_once, **of_it)


def _looked_at(client: DynamicClient, namespace: str, visit: str, waiting: dict[str, str]) -> dict[str, str | Fault]:
    """What is known by now, by the Pod's name."""
    pods = cluster.listed(client, "Pod", namespace, label_selector=f"{LABEL}={visit}")
    events = cluster.listed(client, "Event", namespace, field_selector="involvedObject.kind=Pod")
    found = {}
    for pod in pods:
        name = pod["metadata"]["name"]
        of_it = [each for each in events if each["involvedObject"].get("uid") == pod["metadata"]["uid"]]
        known = outcome(pod, of_it) if name in waiting else None
        if known is not None:
            found[name] = known
    return found


def _unready(node: Object) -> Fault | None:
    """Where the node says itself that it takes nothing: nobody has to wait for that."""
    ready: Object = next((each for each in node["status"].get("conditions", []) if each["type"] == "Ready"), {})
    if ready.get("status") == "True":
        return None
    remedy = f"see `kubectl describe node {node['metadata']['name']}`"
    return Fault(f"the node is not ready: {ready.get('message', 'it never was')}", remedy)


def _begin(client: DynamicClient, pod: Object) -> Fault | None:
    """Make the Pod; why it may not be made, if so."""
    try:
        _create(client, pod)
    except ApiException as error:
        namespace = pod["metadata"]["namespace"]
        remedy = f"see `kubectl -n {namespace} get resourcequotas,limitranges`, and the cluster's admission webhooks"
        return Fault(f"no Pod may be made: {cluster.said(error)}", remedy)
    return None


def _create(client: DynamicClient, wanted: Object) -> None:
    kind = client.resources.get(api_version="v1", kind=wanted["kind"])
    namespace = wanted["metadata"]["namespace"]
    client.create(kind, body=wanted, namespace=namespace, _request_timeout=cluster.TIMEOUT)
