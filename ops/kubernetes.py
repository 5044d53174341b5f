"""Send requests to the cluster with the kubeconfig that Pulumi uses too.

Callers convert the error of an unanswered request by `convert_api_errors`. A command must not report an object as
missing if the cluster could not be reached.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from kubernetes.client.api.version_api import VersionApi
from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.kube_config import load_kube_config
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import NotFoundError
from kubernetes.stream import stream
from urllib3.exceptions import HTTPError

from .errors import CheckError, ClusterError
from .stack import REGISTRY_SELECTOR

TIMEOUT = 10
"""Seconds to wait for one request."""

LOG_LINES = 1000
"""Lines of a log to read. A registry that is not ready logs about 80 in a minute, most of them for its probes."""

BAD_REQUEST = 400
"""Status of the API server for the log of a container that has not started yet."""

API_VERSIONS = {
    "DaemonSet": "apps/v1",
    "CronJob": "batch/v1",
    "Job": "batch/v1",
    "StorageClass": "storage.k8s.io/v1",
    "IngressClass": "networking.k8s.io/v1",
    "Gateway": "gateway.networking.k8s.io/v1",
}
"""API version by kind, for the kinds that are not in v1."""

CONTAINER = "registry"
"""Name of the registry's container in its Pods."""

Object = dict[str, Any]
"""A Kubernetes object, as `kubectl get -o json` prints it."""


@contextmanager
def convert_api_errors() -> Iterator[None]:
    """Convert errors of the API server and of the kubeconfig into `ClusterError`."""
    try:
        yield
    except ConfigException as error:
        raise ClusterError(
            f"There is no usable kubeconfig: {api_error_message(error)}.",
            "Set KUBECONFIG to the file of your cluster, and check it with `kubectl cluster-info`.",
        ) from None
    except HTTPError as error:
        raise ClusterError(
            f"The API server does not answer: {api_error_message(error)}.",
            "Start the cluster, or set KUBECONFIG to the file of another one.",
        ) from None
    except ApiException as error:
        raise ClusterError(
            f"The cluster cannot be read: {api_error_message(error)}.",
            "Check KUBECONFIG and the permissions of its user, then try again.",
        ) from None


def api_error_message(error: Exception) -> str:
    """Return the API server's message, or the first line of the error, without its full stop."""
    if isinstance(error, ApiException) and error.body:
        with suppress(ValueError, KeyError, TypeError):
            return str(json.loads(error.body)["message"]).rstrip(".")
    return str(error).partition("\n")[0].rstrip(".")


def connect() -> DynamicClient:
    """Return a client of the kubeconfig's API server. Raise if the server does not answer."""
    # The client's default cache may be that of an old cluster.
    with convert_api_errors(), tempfile.TemporaryDirectory() as folder:
        return DynamicClient(connect_api_client(), cache_file=str(Path(folder) / "discovery"))


def connect_api_client() -> ApiClient:
    """Return a low-level client of the kubeconfig's API server, after one request with a timeout.

    An API server that does not answer must fail here, because discovery would wait for it without a limit.
    """
    configuration = Configuration()
    load_kube_config(client_configuration=configuration)
    configuration.retries = False  # type: ignore[attr-defined]  # the stubs are outdated
    client = ApiClient(configuration)
    VersionApi(client).get_code(_request_timeout=TIMEOUT)  # type: ignore[call-arg]  # the stubs lack the timeout
    return client


def list_objects(client: DynamicClient, kind: str, namespace: str | None = None, **selectors: str) -> list[Object]:
    """Return the objects of `kind` that match `selectors` (label_selector, field_selector)."""
    resource = client.resources.get(api_version=API_VERSIONS.get(kind, "v1"), kind=kind)
    answer = client.get(resource, namespace=namespace, _request_timeout=TIMEOUT, **selectors)
    return list(answer.to_dict()["items"])


def list_registry_pods(client: DynamicClient, namespace: str) -> list[Object]:
    """Return all Pods of the registry, also those that do not run."""
    return list_objects(client, "Pod", namespace, label_selector=REGISTRY_SELECTOR)


def list_running_pods(client: DynamicClient, namespace: str) -> list[Object]:
    """Return the registry's running Pods that are not being deleted. Raise if no such Pod exists."""
    running = [pod for pod in list_registry_pods(client, namespace) if is_running(pod)]
    if not running:
        raise CheckError(
            "No Pod of the registry is running.",
            f"See `kubectl -n {namespace} get pods`. `pulumi up --refresh` creates a missing Pod again.",
        )
    return running


def is_running(pod: Object) -> bool:
    """Return whether the Pod runs and is not being deleted."""
    return pod["status"].get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")


def container_statuses(pod: Object) -> dict[str, Object]:
    """Return the statuses of the Pod's containers by name."""
    return {status["name"]: status for status in pod["status"].get("containerStatuses") or []}


def pod_conditions(pod: Object) -> dict[str, Object]:
    """Return the conditions of the Pod by type."""
    return {condition["type"]: condition for condition in pod["status"].get("conditions") or []}


def find_claim(pod: Object) -> str:
    """Return the name of the claim that the Pod mounts, or "" if the images are in an object store."""
    claims = (volume.get("persistentVolumeClaim") for volume in pod["spec"]["volumes"])
    return next((str(claim["claimName"]) for claim in claims if claim), "")


def start_of(status: Object) -> datetime | None:
    """Return the start time of the container with this status, or None if it does not run."""
    started = ((status.get("state") or {}).get("running") or {}).get("startedAt")
    return parse_time(started) if started else None


def time_of_readiness(pod: Object) -> datetime | None:
    """Return the time since which the Pod is ready or is not, or None before the first report of its kubelet."""
    changed = pod_conditions(pod).get("ContainersReady", {}).get("lastTransitionTime")
    return parse_time(changed) if changed else None


def parse_time(value: str | datetime) -> datetime:
    """Return a time of the API server, which some clients have parsed already."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def read_log(pod: Object) -> str:
    """Return the last lines of the log of the registry's container, or "" before its first start."""
    from kubernetes.client.api.core_v1_api import CoreV1Api  # slow, and most commands read no log

    read = CoreV1Api(connect_api_client()).read_namespaced_pod_log
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    try:
        # The stubs lack the timeout.
        text = read(name, namespace, container=CONTAINER, tail_lines=LOG_LINES, _request_timeout=TIMEOUT)  # type: ignore[call-arg]
        return str(text)
    except ApiException as error:
        if error.status == BAD_REQUEST:
            return ""
        raise


def get_object(client: DynamicClient, kind: str, name: str, namespace: str | None = None) -> Object | None:
    """Return an object, or None if it does not exist. This needs the right to get it, and not to list its kind."""
    resource = client.resources.get(api_version=API_VERSIONS.get(kind, "v1"), kind=kind)
    try:
        return dict(client.get(resource, name=name, namespace=namespace, _request_timeout=TIMEOUT).to_dict())
    except NotFoundError:
        return None


def exec_in_pod(pod: Object, command: Sequence[str], container: str = CONTAINER) -> str:
    """Run `command` in a container of `pod`. Return stdout and stderr, whatever its exit code is."""
    from kubernetes.client.api.core_v1_api import CoreV1Api  # slow to import, and few commands need it

    # Use a separate client, because `stream` turns all requests of a client into web sockets during the call.
    run = CoreV1Api(connect_api_client()).connect_get_namespaced_pod_exec
    target = {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"], "container": container}
    output = stream(run, **target, command=list(command), stdout=True, stderr=True, _request_timeout=TIMEOUT)
    return str(output)


def create_object(client: DynamicClient, body: Object) -> None:
    """Create an object."""
    resource = client.resources.get(api_version=body["apiVersion"], kind=body["kind"])
    client.create(resource, body=body, namespace=body["metadata"]["namespace"], _request_timeout=TIMEOUT)


def delete_object(client: DynamicClient, kind: str, name: str, namespace: str) -> None:
    """Delete an object, and let the cluster delete the objects that it owns."""
    resource = client.resources.get(api_version=API_VERSIONS.get(kind, "v1"), kind=kind)
    background = {"propagationPolicy": "Background"}
    client.delete(resource, name=name, namespace=namespace, body=background, _request_timeout=TIMEOUT)


def follow_log(pod: Object) -> Iterator[str]:
    """Yield the lines of the log of a Pod with one container, until it ends."""
    from kubernetes.client.api.core_v1_api import CoreV1Api  # slow, and most commands read no log

    read = CoreV1Api(connect_api_client()).read_namespaced_pod_log
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    response = read(name, namespace, follow=True, _preload_content=False)  # type: ignore[call-arg]  # the stubs lack it
    rest = b""
    for chunk in response.stream():  # type: ignore[attr-defined]
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
    if rest:
        yield rest.decode(errors="replace")
