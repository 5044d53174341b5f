"""What lives on the cluster, asked of its API server through the kubeconfig that the engine uses too.

Only what Pulumi wrote counts: an object that somebody else made under the same name is not to be adopted. Whatever the
API server cannot say is no answer, and nothing is settled without one.
"""

import json
import tempfile
from collections.abc import Callable, Collection, Iterator
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
from kubernetes.dynamic.exceptions import NotFoundError, ResourceNotFoundError
from urllib3.exceptions import HTTPError

from .stack import Refusal
from .state import Live, Resource
from .unnoted import Span

TIMEOUT = 10

VERSIONS = {"DaemonSet": "apps/v1"}
"""Of the API, of the kinds that are not in v1."""

MANAGER = "pulumi-kubernetes"
"""How the provider's field managers begin."""

AUTONAMED = "pulumi.com/autonamed"
"""The provider's annotation of an object whose name it made: the resource's, a dash, and eight letters."""


def finder(spans: Collection[Span] = ()) -> Callable[[Resource], Live | None]:
    """A function that finds a resource's live object. It connects at the first call: not every recovery has one.

    With `spans` only an object counts that was created in one of them; of a name that the provider ended with letters
    of its own choice, the object may have other letters.
    """
    connected: list[DynamicClient] = []

    def find(resource: Resource) -> Live | None:
        with in_sight():
            if not connected:
                connected.append(_connect())
            return _find(connected[0], resource["inputs"], spans)

    return find


@contextmanager
def in_sight() -> Iterator[None]:
    """Within, whatever the API server does not answer to is a `Refusal`."""
    try:
        yield
    except (ConfigException, HTTPError, ApiException) as error:
        raise Refusal(f"cannot see what lives on the cluster: {said(error)}; check KUBECONFIG, then again") from None


def said(error: Exception) -> str:
    """What the API server says as it refuses, or what kept it from answering; one line."""
    if isinstance(error, ApiException) and error.body:
        with suppress(ValueError, KeyError, TypeError):
            return str(json.loads(error.body)["message"])
    return str(error).partition("\n")[0]


def connect() -> DynamicClient:
    """A client of the API server that the kubeconfig names, once that has answered."""
    with in_sight():
        return _connect()


def listed(client: DynamicClient, kind: str, namespace: str | None = None, **selectors: str) -> list[dict[str, Any]]:
    """The objects of `kind` that `selectors` choose (label_selector, field_selector), as `kubectl get -o json` has
    them."""
    found = client.resources.get(api_version=VERSIONS.get(kind, "v1"), kind=kind)
    answer = client.get(found, namespace=namespace, _request_timeout=TIMEOUT, **selectors)
    return list(answer.to_dict()["items"])


def api_client() -> ApiClient:
    """What speaks to the API server of the kubeconfig, which has answered."""
    settings = Configuration()
    load_kube_config(client_configuration=settings)
    settings.retries = False  # type: ignore[attr-defined]  # the stubs are behind
    client = ApiClient(settings)
    VersionApi(client).get_code(_request_timeout=TIMEOUT)  # type: ignore[call-arg]  # discovery has no timeout
    return client


def _connect() -> DynamicClient:
    with tempfile.TemporaryDirectory() as folder:  # its own cache outlives the cluster
        return DynamicClient(api_client(), cache_file=str(Path(folder) / "discovery"))


def _find(client: DynamicClient, inputs: dict[str, Any], spans: Collection[Span]) -> Live | None:
    try:
        kind = client.resources.get(api_version=inputs["apiVersion"], kind=inputs["kind"])
    except ResourceNotFoundError:
        return None
    namespace = inputs["metadata"].get("namespace", "default") if kind.namespaced else None
    for found in _named(client, kind, namespace, inputs["metadata"], any_letters=bool(spans)):
        managers = [entry.manager for entry in found.metadata.managedFields or [] if entry.manager.startswith(MANAGER)]
        created = datetime.fromisoformat(found.metadata.creationTimestamp)
        if managers and (not spans or any(span.holds(created) for span in spans)):
            return Live("/".join(filter(None, [namespace, found.metadata.name])), managers[0])
    return None


def _named(
    client: DynamicClient, kind: Any, namespace: str | None, metadata: dict[str, Any], *, any_letters: bool
) -> list[Any]:
    """The object of that name, or those of it with other letters behind, if the provider chose them."""
    try:
        return [client.get(kind, name=metadata["name"], namespace=namespace, _request_timeout=TIMEOUT)]
    except NotFoundError:
        if not any_letters or AUTONAMED not in metadata.get("annotations", {}):
            return []
    beginning = metadata["name"].rpartition("-")[0] + "-"
    listed = client.get(kind, namespace=namespace, _request_timeout=TIMEOUT).items
    return [each for each in listed if each.metadata.name.startswith(beginning)]
