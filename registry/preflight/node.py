"""The lookup of the node that holds the images."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.core.v1 import TolerationArgsDict

from ..context import Context
from ..lookup import lookup_name
from ..settings import Settings
from ..validation.existing_objects import hostname_of
from ..validation.tolerations import Toleration, refuse_taints


class NodeOfImages(NamedTuple):
    """A node that the Pod can run on.

    Attributes:
        resource: The node.
        name: Its name, known once it is checked.
        hostname: The value of its label kubernetes.io/hostname, which volumes select.
    """

    resource: kubernetes.core.v1.Node
    name: pulumi.Output[str]
    hostname: pulumi.Output[str]


def look_up_node(
    ctx: Context,
    settings: Settings,
    tolerations: Sequence[TolerationArgsDict],
    *,
    after: pulumi.Output[pulumi.Resource],
) -> NodeOfImages:
    """Look up the node. If the Pod is pinned to it, refuse one with taints that the Pod does not tolerate.

    `tolerations` are those that the component sets.
    """
    # The provider looks up no secret value. The name of a node is public.
    public = pulumi.Output.unsecret(pulumi.Output.all(settings.storage.node, after)).apply(lambda both: str(both[0]))
    node = kubernetes.core.v1.Node.get(lookup_name(f"{ctx.name}-node", "nodes"), public, opts=ctx.options())

    own = [cast(Toleration, toleration) for toleration in tolerations]

    def check(resolved: Sequence[Any]) -> tuple[str, str]:
        requested, labels, taints, is_unschedulable, more = resolved
        hostname = hostname_of(requested, labels)
        spec = {"taints": taints, "unschedulable": is_unschedulable}
        if warning := refuse_taints(requested, spec, [*own, *more], len(more)):
            pulumi.log.warn(warning)
        return requested, hostname

    if not settings.storage.kind.is_on_node:
        return NodeOfImages(node, public, public)
    spec = node.spec
    operands = (
        public,
        node.metadata.apply(lambda metadata: metadata.labels if metadata else None),
        spec.apply(lambda fields: [_taint(taint) for taint in (fields.taints if fields else None) or []]),
        spec.apply(lambda fields: fields.unschedulable if fields else None),
        settings.workload.tolerations,
    )
    checked = pulumi.Output.unsecret(pulumi.Output.all(*operands).apply(check))
    return NodeOfImages(node, checked.apply(lambda both: both[0]), checked.apply(lambda both: both[1]))


def _taint(taint: Any) -> Mapping[str, str]:
    return {"key": taint.key, "value": taint.value or "", "effect": taint.effect}
