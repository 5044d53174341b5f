"""The nodes that `node_selector` selects: whether the Pod can run there, with its volume."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pulumi
from pulumi_kubernetes.core.v1 import TolerationArgsDict

from ..context import Context
from ..lookup import FoundObjects, Object
from ..settings import WorkloadSettings
from ..validation.node_selector import refuse_nodes_without_volume, selected_nodes
from ..validation.tolerations import Toleration, refuse_tainted_nodes


def check_node_selector(
    ctx: Context,
    settings: WorkloadSettings,
    tolerations: Sequence[TolerationArgsDict],
    found: pulumi.Output[FoundObjects],
) -> pulumi.Output[FoundObjects]:
    """Return the objects. Refuse a selector for nodes on which the Pod cannot run.

    `tolerations` are those that the component sets.
    """
    selector = settings.node_selector
    if not selector:
        return found
    own = [cast(Toleration, toleration) for toleration in tolerations]

    def check(resolved: Sequence[Any]) -> FoundObjects:
        objects, more = resolved
        assert isinstance(objects, FoundObjects)
        if objects.nodes is None:
            return objects
        nodes = {node["metadata"]["name"]: node for node in objects.nodes}
        labels = {name: _labels(node) for name, node in nodes.items()}
        names = selected_nodes(selector, labels)
        refuse_tainted_nodes({name: nodes[name].get("spec") or {} for name in names}, [*own, *more], len(more))
        for claim in _claims(ctx, objects):
            affinity = ((claim.get("volume") or {}).get("spec") or {}).get("nodeAffinity") or {}
            refuse_nodes_without_volume(claim["metadata"]["name"], affinity, names, labels)
        return objects

    return pulumi.Output.all(found, settings.tolerations).apply(check)


def _claims(ctx: Context, found: FoundObjects) -> list[Object]:
    """Return the claim of the images: the existing one, or those that the component created."""
    if found.claim:
        return [found.claim]
    return [claim for claim in found.claims or [] if ctx.selector.items() <= _labels(claim).items()]


def _labels(item: Object) -> Mapping[str, str]:
    return item["metadata"].get("labels") or {}
