"""Find the live object of a resource on the cluster.

Only an object that Pulumi wrote counts. An object of the same name from another tool must not be adopted.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import NotFoundError, ResourceNotFoundError

from ..kubernetes import TIMEOUT, connect, convert_api_errors
from .state import FindObject, LiveObject, Resource
from .unrecorded import Period

FIELD_MANAGER_PREFIX = "pulumi-kubernetes"
"""Prefix of the field managers of Pulumi's Kubernetes provider."""

AUTONAMED = "pulumi.com/autonamed"
"""Annotation of an object whose name the provider chose: the resource's name, a dash, and eight random letters."""


def object_finder(periods: Collection[Period] = ()) -> FindObject:
    """Return a function that finds the live object of a resource. It connects when it is first called.

    With `periods`, only an object that was created in one of them counts. Its random letters may then differ from those
    of the resource.
    """
    clients: list[DynamicClient] = []

    def find(resource: Resource) -> LiveObject | None:
        with convert_api_errors():
            if not clients:
                clients.append(connect())
            return find_object(clients[0], resource["inputs"], periods)

    return find


def find_object(client: DynamicClient, inputs: dict[str, Any], periods: Collection[Period]) -> LiveObject | None:
    """Return the object that Pulumi created from `inputs`, in one of `periods` if there are any."""
    try:
        kind = client.resources.get(api_version=inputs["apiVersion"], kind=inputs["kind"])
    except ResourceNotFoundError:
        return None
    metadata = inputs["metadata"]
    namespace = metadata.get("namespace", "default") if kind.namespaced else None
    for candidate in _find_candidates(client, kind, namespace, metadata, any_letters=bool(periods)):
        fields = candidate.metadata.managedFields or []
        managers = [field.manager for field in fields if field.manager.startswith(FIELD_MANAGER_PREFIX)]
        created_at = datetime.fromisoformat(candidate.metadata.creationTimestamp)
        if managers and (not periods or any(period.includes(created_at) for period in periods)):
            return LiveObject("/".join(filter(None, [namespace, candidate.metadata.name])), managers[0])
    return None


def _find_candidates(
    client: DynamicClient, kind: Any, namespace: str | None, metadata: dict[str, Any], *, any_letters: bool
) -> list[Any]:
    """Return the object of that name. If it is missing, `any_letters` allows other random letters in the name."""
    try:
        return [client.get(kind, name=metadata["name"], namespace=namespace, _request_timeout=TIMEOUT)]
    except NotFoundError:
        if not any_letters or AUTONAMED not in metadata.get("annotations", {}):
            return []
    prefix = metadata["name"].rpartition("-")[0] + "-"
    objects = client.get(kind, namespace=namespace, _request_timeout=TIMEOUT).items
    return [candidate for candidate in objects if candidate.metadata.name.startswith(prefix)]
