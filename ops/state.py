"""The state after an interruption, made fit for the next `pulumi up`: no operation pending, nothing live forgotten.

The engine notes an operation before it begins and its result after it ended; killed in between, it knows neither the
object nor its ID. What lives on the cluster is put into the state here, with its inputs for outputs: `pulumi up
--refresh` reads the rest. What does not live is forgotten: the next `up` makes it. This module is pure, it edits the
JSON of `pulumi stack export` and asks a function what is live.
"""

from collections.abc import Callable, Iterable, Mapping
from graphlib import TopologicalSorter
from typing import Any, NamedTuple

Resource = Mapping[str, Any]
"""One resource, as the deployment has it."""


class Live(NamedTuple):
    """A live object: its ID in the state, and the field manager by which the provider wrote it."""

    id: str
    manager: str


class Settled(NamedTuple):
    """A deployment without pending operations; the names of what was adopted and of what was dropped."""

    deployment: dict[str, Any]
    adopted: list[str]
    dropped: list[str]


def settle(deployment: Mapping[str, Any], find: Callable[[Resource], Live | None]) -> Settled:
    """Adopt each pending creation that `find` finds live; drop every other pending operation."""
    resources = list(deployment.get("resources") or [])
    adopted, dropped = [], []
    for kind, resource in _in_order(deployment.get("pending_operations") or []):
        if kind == "creating" and _take_in(resources, resource, find):
            adopted.append(_name(resource))
        else:
            dropped.append(f"{_name(resource)}, {kind}")
    return Settled({**deployment, "resources": resources, "pending_operations": []}, adopted, dropped)


def adopt(
    deployment: Mapping[str, Any], wanted: Iterable[Resource], find: Callable[[Resource], Live | None]
) -> Settled:
    """Adopt what of `wanted` is live though the state does not know it, if all that it needs is known."""
    resources, adopted = list(deployment.get("resources") or []), []
    for resource in wanted:
        if _needs(resource) <= {known["urn"] for known in resources} and _take_in(resources, resource, find):
            adopted.append(_name(resource))
    return Settled({**deployment, "resources": resources}, adopted, [])


def _take_in(resources: list[Resource], resource: Resource, find: Callable[[Resource], Live | None]) -> bool:
    """Put `resource` into the state if it is live and not known there; whether it was."""
    live = find(resource) if _is_object(resource) else None
    if not live or _is_known(resources, resource["urn"], live.id):
        return False
    _insert(resources, _adopted(resource, live))
    return True


def _in_order(operations: list[Mapping[str, Any]]) -> list[tuple[str, Resource]]:
    """One operation a resource, the last one noted, and what a resource needs before the resource."""
    last = {operation["resource"]["urn"]: operation for operation in operations}
    graph = {urn: _needs(operation["resource"]) & last.keys() for urn, operation in last.items()}
    return [(last[urn]["type"], last[urn]["resource"]) for urn in TopologicalSorter(graph).static_order()]


def _needs(resource: Resource) -> set[str]:
    single = [resource.get("parent"), resource.get("deletedWith")]
    return {urn for urn in [*single, *(resource.get("dependencies") or [])] if urn}


def _is_object(resource: Resource) -> bool:
    """Whether it stands for one object of its own on a cluster, unlike a key, a patch or something looked up."""
    kind, inputs = str(resource["type"]), resource.get("inputs") or {}
    named = {"apiVersion", "kind", "metadata"} <= inputs.keys() and "name" in inputs["metadata"]
    return kind.startswith("kubernetes:") and not kind.endswith("Patch") and not resource.get("external") and named


def _is_known(resources: list[Resource], urn: str, identity: str) -> bool:
    """Whether the object is in the state already, other than as the one that it was to replace."""
    same = [known for known in resources if known["urn"] == urn and known.get("id") == identity]
    return any(not known.get("pendingReplacement") and not known.get("delete") for known in same)


def _adopted(resource: Resource, live: Live) -> Resource:
    metadata = {**resource["inputs"]["metadata"], "name": live.id.rpartition("/")[2]}
    inputs = {**resource["inputs"], "metadata": metadata}
    return {**resource, "id": live.id, "inputs": inputs, "outputs": {**inputs, "__fieldManager": live.manager}}


def _insert(resources: list[Resource], adopted: Resource) -> None:
    """Put it behind all that it needs; where one of its name is, in place of that, so that its dependents stay behind.

    The one before goes with it, unless it is another object: that one stays, to be deleted by the next `pulumi up`.
    """
    places = [place for place, known in enumerate(resources) if known["urn"] == adopted["urn"]]
    if not places:
        resources.append(adopted)
        return
    old = resources[places[0]]
    gone = old.get("pendingReplacement") or old.get("id") == adopted["id"]
    resources[places[0] : places[0] + 1] = [adopted] if gone else [adopted, {**old, "delete": True}]


def _name(resource: Resource) -> str:
    """`Pod registry-workload-pod`: kind and name, without the path of a URN."""
    kind, _, name = str(resource["urn"]).rpartition("::")
    return f"{kind.rpartition(':')[2]} {name}"
