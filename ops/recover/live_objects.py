"""Find the live object of a resource on the cluster.

Only an object that Pulumi wrote counts. An object of the same name from another tool must not be adopted. A patch, such
as the label of a node, has no object of its own, but a field manager with a random name. The manager is found by an
entry of `managedFields` that has the fields of the patch, and was written while this stack was updated.
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
"""Annotation of an object whose name the provider chose: the resource's name, a dash and eight hexadecimal digits."""


def create_object_finder(periods: Collection[Period], *, any_suffix: bool = False) -> FindObject:
    """Return a function that finds the live object of a resource. Its first call connects to the cluster.

    A patch counts only if it was written in one of `periods`. With `any_suffix`, the random suffix of an object's name
    may differ from that of the resource, and an object counts only if it was created in one of `periods`.
    """
    clients: list[DynamicClient] = []

    def find(resource: Resource) -> LiveObject | None:
        with convert_api_errors():
            if not clients:
                clients.append(connect())
            return find_object(clients[0], resource, periods, any_suffix=any_suffix)

    return find


def find_object(
    client: DynamicClient, resource: Resource, periods: Collection[Period], *, any_suffix: bool
) -> LiveObject | None:
    """Return the object that Pulumi created or patched for `resource`. See `create_object_finder`."""
    inputs = resource["inputs"]
    try:
        api_resource = client.resources.get(api_version=inputs["apiVersion"], kind=inputs["kind"])
    except ResourceNotFoundError:
        return None
    metadata = inputs["metadata"]
    namespace = metadata.get("namespace", "default") if api_resource.namespaced else None
    is_patch = resource["type"].endswith("Patch")
    any_suffix = any_suffix and not is_patch
    for candidate in _find_candidates(client, api_resource, namespace, metadata, any_suffix=any_suffix):
        if any_suffix and not _within(periods, candidate.metadata.creationTimestamp):
            continue
        for entry in candidate.to_dict()["metadata"].get("managedFields") or []:
            is_pulumi = entry["manager"].startswith(FIELD_MANAGER_PREFIX)
            if is_pulumi and (not is_patch or _wrote_patch(entry, inputs, periods)):
                object_id = "/".join(filter(None, [namespace, candidate.metadata.name]))
                return LiveObject(object_id, entry["manager"])
    return None


def _wrote_patch(entry: Mapping[str, Any], inputs: Mapping[str, Any], periods: Collection[Period]) -> bool:
    """Return whether an entry of `managedFields` has all fields of the patch and was written in one of `periods`."""
    identity = ("apiVersion", "kind")
    metadata = {key: value for key, value in inputs["metadata"].items() if key in ("labels", "annotations")}
    patch = {key: value for key, value in inputs.items() if key not in identity} | {"metadata": metadata}
    return _within(periods, entry["time"]) and _owns(entry.get("fieldsV1") or {}, patch)


def _owns(fields: Mapping[str, Any], value: Any) -> bool:
    """Return whether `fields`, a tree of `fieldsV1`, has every key of `value`. Lists are not compared."""
    if not isinstance(value, Mapping):
        return True
    return all(f"f:{key}" in fields and _owns(fields[f"f:{key}"], item) for key, item in value.items())


def _within(periods: Collection[Period], time: str) -> bool:
    moment = datetime.fromisoformat(time)
    return any(period.includes(moment) for period in periods)


def _find_candidates(
    client: DynamicClient, api_resource: Any, namespace: str | None, metadata: dict[str, Any], *, any_suffix: bool
) -> list[Any]:
    """Return the object with the name in `metadata`.

    If it is missing, return no object, or with `any_suffix` all objects whose names differ only in the random suffix.
    """
    try:
        return [client.get(api_resource, name=metadata["name"], namespace=namespace, _request_timeout=TIMEOUT)]
    except NotFoundError:
        if not any_suffix or AUTONAMED not in metadata.get("annotations", {}):
            return []
    prefix = metadata["name"].rpartition("-")[0] + "-"
    objects = client.get(api_resource, namespace=namespace, _request_timeout=TIMEOUT).items
    return [candidate for candidate in objects if candidate.metadata.name.startswith(prefix)]
