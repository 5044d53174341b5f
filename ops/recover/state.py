"""Edit the state after an interruption: resolve pending operations, and adopt live objects that it lacks.

Pulumi records an operation before it begins and its result after it ended. If Pulumi is killed in between, the state
has neither the object nor its ID. A live object is put into the state with its inputs as outputs, and `pulumi up
--refresh` reads the rest. The operation of an object that does not exist is dropped, and the next `pulumi up` creates
it.

The functions are pure: they edit the JSON of `pulumi stack export` and call a function that finds live objects.
"""

from collections.abc import Callable, Iterable, Mapping
from graphlib import TopologicalSorter
from typing import Any, NamedTuple

Resource = Mapping[str, Any]
"""One resource of a deployment, which is the part of the state that `pulumi stack export` prints as `deployment`."""


class LiveObject(NamedTuple):
    """An object on the cluster: its ID in the state, and the field manager of Pulumi."""

    id: str
    manager: str


FindObject = Callable[[Resource], LiveObject | None]
"""A function that returns the live object of a resource, or None."""


class StateChange(NamedTuple):
    """A changed deployment, with the names of the adopted resources and of the dropped operations."""

    deployment: dict[str, Any]
    adopted: list[str]
    dropped: list[str]


def resolve_pending(deployment: Mapping[str, Any], find: FindObject) -> StateChange:
    """Adopt each pending creation whose object exists, and drop every other pending operation."""
    resources = list(deployment.get("resources") or [])
    adopted, dropped = [], []
    for kind, resource in _sort_operations(deployment.get("pending_operations") or []):
        if kind == "creating" and _adopt_if_live(resources, resource, find):
            adopted.append(_display_name(resource))
        else:
            dropped.append(f"{_display_name(resource)}, {kind}")
    return StateChange({**deployment, "resources": resources, "pending_operations": []}, adopted, dropped)


def adopt_unrecorded(deployment: Mapping[str, Any], planned: Iterable[Resource], find: FindObject) -> StateChange:
    """Adopt each planned resource whose object exists, if the state has every resource that it depends on."""
    resources, adopted = list(deployment.get("resources") or []), []
    for resource in planned:
        recorded = {other["urn"] for other in resources}
        if _dependencies(resource) <= recorded and _adopt_if_live(resources, resource, find):
            adopted.append(_display_name(resource))
    return StateChange({**deployment, "resources": resources}, adopted, [])


def _adopt_if_live(resources: list[Resource], resource: Resource, find: FindObject) -> bool:
    """Put `resource` into the state if its object exists and the state lacks it. Return whether it was added."""
    live = find(resource) if _is_object(resource) else None
    if not live or _is_recorded(resources, resource["urn"], live.id):
        return False
    _insert(resources, _with_live_object(resource, live))
    return True


def _sort_operations(operations: list[Mapping[str, Any]]) -> list[tuple[str, Resource]]:
    """Return the last operation of each resource, sorted so that dependencies come first."""
    last = {operation["resource"]["urn"]: operation for operation in operations}
    graph = {urn: _dependencies(operation["resource"]) & last.keys() for urn, operation in last.items()}
    return [(last[urn]["type"], last[urn]["resource"]) for urn in TopologicalSorter(graph).static_order()]


def _dependencies(resource: Resource) -> set[str]:
    single = [resource.get("parent"), resource.get("deletedWith")]
    return {urn for urn in [*single, *(resource.get("dependencies") or [])] if urn}


def _is_object(resource: Resource) -> bool:
    """Return whether the resource is an object on the cluster, or a patch of one, unlike a key or a lookup."""
    kind, inputs = str(resource["type"]), resource.get("inputs") or {}
    has_name = {"apiVersion", "kind", "metadata"} <= inputs.keys() and "name" in inputs["metadata"]
    return kind.startswith("kubernetes:") and not resource.get("external") and has_name


def _is_recorded(resources: list[Resource], urn: str, object_id: str) -> bool:
    """Return whether the state has the object. An entry that is being replaced or deleted does not count."""
    same = [resource for resource in resources if resource["urn"] == urn and resource.get("id") == object_id]
    return any(not resource.get("pendingReplacement") and not resource.get("delete") for resource in same)


def _with_live_object(resource: Resource, live: LiveObject) -> Resource:
    """Return the resource with the object's ID, name and field manager."""
    metadata = {**resource["inputs"]["metadata"], "name": live.id.rpartition("/")[2]}
    inputs = {**resource["inputs"], "metadata": metadata}
    return {**resource, "id": live.id, "inputs": inputs, "outputs": {**inputs, "__fieldManager": live.manager}}


def _insert(resources: list[Resource], adopted: Resource) -> None:
    """Append the resource, or put it in the place of its predecessor so that dependents stay behind it.

    A predecessor with the same ID, or one that was already deleted for its replacement, is removed. Any other
    predecessor stays, and is marked for deletion by the next `pulumi up`.
    """
    positions = [position for position, resource in enumerate(resources) if resource["urn"] == adopted["urn"]]
    if not positions:
        resources.append(adopted)
        return
    position = positions[0]
    old = resources[position]
    is_gone = old.get("pendingReplacement") or old.get("id") == adopted["id"]
    resources[position : position + 1] = [adopted] if is_gone else [adopted, {**old, "delete": True}]


def _display_name(resource: Resource) -> str:
    """Return kind and name of the resource's URN, such as `Pod registry-workload-pod`."""
    kind, _, name = str(resource["urn"]).rpartition("::")
    return f"{kind.rpartition(':')[2]} {name}"
