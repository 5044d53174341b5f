"""Find the live object of a resource on the cluster.

Only an object that Pulumi wrote counts. An object of the same name from another tool must not be adopted. A patch, such
as the label of a node, is found by its field manager, whose name the provider draws at random: it owns the fields of
the patch, and wrote them while this stack was updated.
"""

from collections.abc import Collection, Mapping
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


def create_object_finder(periods: Collection[Period], *, any_letters: bool = False) -> FindObject:
    """Return a function that finds the live object of a resource. It connects when it is first called.

    A patch counts only if it was written in one of `periods`. With `any_letters`, that holds for the creation of other
    objects too, whose random letters may then differ from those of the resource.
    """
    clients: list[DynamicClient] = []

    def find(resource: Resource) -> LiveObject | None:
        with convert_api_errors():
            if not clients:
                clients.append(connect())
            return find_object(clients[0], resource, periods, any_letters=any_letters)

    return find


def find_object(
    client: DynamicClient, resource: Resource, periods: Collection[Period], *, any_letters: bool
) -> LiveObject | None:
    """Return the object that Pulumi created or patched for `resource`. See `create_object_finder`."""
    inputs = resource["inputs"]
    try:
        kind = client.resources.get(api_version=inputs["apiVersion"], kind=inputs["kind"])
    except ResourceNotFoundError:
        return None
    metadata = inputs["metadata"]
    namespace = metadata.get("namespace", "default") if kind.namespaced else None
    is_patch = resource["type"].endswith("Patch")
    for candidate in _find_candidates(client, kind, namespace, metadata, any_letters=any_letters and not is_patch):
        managers = [
            fields["manager"]
            for fields in candidate.to_dict()["metadata"].get("managedFields") or []
            if fields["manager"].startswith(FIELD_MANAGER_PREFIX)
            and (not is_patch or _wrote_patch(fields, inputs, periods))
        ]
        created_in_time = is_patch or not any_letters or _within(periods, candidate.metadata.creationTimestamp)
        if managers and created_in_time:
            return LiveObject("/".join(filter(None, [namespace, candidate.metadata.name])), managers[0])
    return None


def _wrote_patch(fields: Mapping[str, Any], inputs: Mapping[str, Any], periods: Collection[Period]) -> bool:
    """Return whether the entry of `managedFields` is of the patch: it owns its fields since one of `periods`."""
    identity = ("apiVersion", "kind")
    metadata = {key: value for key, value in inputs["metadata"].items() if key in ("labels", "annotations")}
    patch = {key: value for key, value in inputs.items() if key not in identity} | {"metadata": metadata}
    return _within(periods, fields["time"]) and _owns(fields.get("fieldsV1") or {}, patch)


def _owns(fields: Mapping[str, Any], value: Any) -> bool:
    """Return whether `fields`, a tree of `fieldsV1`, has every key of `value`."""
    if not isinstance(value, Mapping):
        return True
    return all(f"f:{key}" in fields and _owns(fields[f"f:{key}"], item) for key, item in value.items())


def _within(periods: Collection[Period], time: str) -> bool:
    moment = datetime.fromisoformat(time)
    return any(period.includes(moment) for period in periods)


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
