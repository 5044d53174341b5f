"""What runs of a registry: its Pods' images, the space on their volume, the nodes that trust it."""

from typing import Any

from kubernetes.client.api.core_v1_api import CoreV1Api
from kubernetes.dynamic import DynamicClient
from kubernetes.stream import stream

from registry.node_trust import APP as TRUST_APP
from registry.private_registry import APP
from registry.storage import MOUNTED

from . import cluster
from .causes import Fault
from .facts import Space, Trust

CONTAINER = "registry"
"""Of the Pod."""

DF = ("df", "-P", "-k", MOUNTED)
"""POSIX: a title, and a line of device, size, used, available (KiB) and more."""


def running_images(client: DynamicClient, namespace: str) -> list[str]:
    """Of the Pods that are there, each once; what others put into a Pod beside it is theirs."""
    containers = [each for pod in _pods(client, namespace) for each in pod["spec"]["containers"]]
    return sorted({each["image"] for each in containers if each["name"] == CONTAINER})


def free_space(client: DynamicClient, namespace: str) -> Space | None:
    """On the volume that a Pod mounts; nothing where it mounts none."""
    pod = _pods(client, namespace)[0]
    if not any("persistentVolumeClaim" in each for each in pod["spec"]["volumes"]):
        return None
    where = {"name": pod["metadata"]["name"], "namespace": namespace, "container": CONTAINER}
    # A client of its own: for the time of the call its requests are web sockets.
    run = CoreV1Api(cluster.api_client()).connect_get_namespaced_pod_exec
    said = stream(run, **where, command=list(DF), stdout=True, stderr=True, _request_timeout=cluster.TIMEOUT)
    return _parsed(said)


def trusting_nodes(client: DynamicClient, namespace: str) -> Trust | None:
    """By the DaemonSet in the namespace beside the registry's; nothing where there is none."""
    by_name = f"metadata.name={TRUST_APP}"
    for each in cluster.listed(client, "DaemonSet", trust_namespace(namespace), field_selector=by_name):
        return Trust(each["status"].get("numberReady", 0), each["status"].get("desiredNumberScheduled", 0))
    return None


def trust_namespace(namespace: str) -> str:
    """Where `node_trust` has its objects."""
    return f"{namespace}-trust"


def _pods(client: DynamicClient, namespace: str) -> list[dict[str, Any]]:
    """Of the registry, those that run and are to stay."""
    found = cluster.listed(client, "Pod", namespace, label_selector=f"app.kubernetes.io/name={APP}")
    running = [
        each
        for each in found
        if each["status"].get("phase") == "Running" and not each["metadata"].get("deletionTimestamp")
    ]
    if not running:
        look = f"see `kubectl -n {namespace} get pods`; `pulumi up --refresh` puts back what is missing"
        raise Fault("no Pod of it runs", look)
    return running


def _parsed(said: str) -> Space:
    try:
        _, size, _, free, *_ = said.splitlines()[1].split()
        return Space(int(size) * 1024, int(free) * 1024)
    except (ValueError, IndexError):
        words = " ".join(said.split()) or "nothing"
        raise Fault(f"`df` in the Pod said {words}", "is there a `df` in the image? Look on the node itself") from None
