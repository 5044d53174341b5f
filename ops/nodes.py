"""What a node makes of the registry: its kubelet pulls the image that was pushed, as it would for anybody's Pod.

A Pod a node, pinned there, and the Secret that they pull with, all in the registry's own namespace; they are deleted
whatever happens. The image holds nothing that could run, so what counts is that it was pulled.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient

from registry.pull_secrets import KEY, docker_config

from . import cluster
from .causes import Fault
from .pulls import outcome
from .stack import Outputs

PATIENCE = 60.0
"""Seconds for all nodes, which pull at the same time."""

PAUSE = 0.3
"""Seconds between two looks."""

LABEL = "private-registry/visit"
"""Of what one visit makes; its value tells the visit from others."""

Object = dict[str, Any]


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
        for node in cluster.listed(client, "Node"):
            name = node["metadata"]["name"]
            refused = _unready(node) or _begin(client, _pod(visit, outputs, name, reference))
            if refused:
                yield Pull(name, refused, time.monotonic() - began)
            else:
                waiting[f"{visit}-{name}"] = name
        while waiting and time.monotonic() < began + PATIENCE:
            for pod, found in _looked_at(client, outputs.namespace, visit, waiting).items():
                yield Pull(waiting.pop(pod), found, time.monotonic() - began)
            time.sleep(PAUSE if waiting else 0)
        for name in waiting.values():
            late = Fault(
                f"no answer within {PATIENCE:.0f} s", f"see `kubectl describe node {name}`: is its kubelet up?"
            )
            yield Pull(name, late, time.monotonic() - began)


@contextmanager
def _visit(client: DynamicClient, outputs: Outputs) -> Iterator[str]:
    """The visit's name, which is its pull Secret's too; what bears it is gone after the block."""
    visit = f"ops-verify-{secrets.token_hex(4)}"
    login = docker_config(outputs.endpoint, outputs.username, outputs.password)
    try:
        _create(client, _secret(visit, outputs.namespace, login))
        yield visit
    finally:
        for kind in ("Pod", "Secret"):
            found = client.resources.get(api_version="v1", kind=kind)
            at_once = {"gracePeriodSeconds": 0}  # a node that is down would keep its Pod
            of_it = {"label_selector": f"{LABEL}={visit}", "_request_timeout": cluster.TIMEOUT}
            client.delete(found, namespace=outputs.namespace, body=at_once, **of_it)


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


def _secret(visit: str, namespace: str, login: str) -> Object:
    metadata = {"name": visit, "namespace": namespace, "labels": {LABEL: visit}}
    kind = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson"}
    return {**kind, "metadata": metadata, "stringData": {KEY: login}}


def _pod(visit: str, outputs: Outputs, node: str, reference: str) -> Object:
    """On that node whatever its taints, and within Pod Security's `restricted`. It ends by itself if nobody ends it."""
    container = {
        **{"name": "pull", "image": reference, "imagePullPolicy": "Always", "command": ["nothing-to-run"]},
        "resources": {key: {"cpu": "10m", "memory": "16Mi"} for key in ("requests", "limits")},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        **{"nodeName": node, "tolerations": [{"operator": "Exists"}], "restartPolicy": "Never"},
        **{"automountServiceAccountToken": False, "enableServiceLinks": False},
        "activeDeadlineSeconds": int(2 * PATIENCE),
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "imagePullSecrets": [{"name": visit}],
        "containers": [container],
    }
    metadata = {"name": f"{visit}-{node}", "namespace": outputs.namespace, "labels": {LABEL: visit}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
