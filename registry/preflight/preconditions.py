"""All lookups and reservations, in their order."""

from collections.abc import Sequence
from typing import NamedTuple

import pulumi
from pulumi_kubernetes.core.v1 import Node, TolerationArgsDict

from ..context import Context
from ..lookup import ExistingClaims
from ..settings import Settings
from .existing_objects import look_up_existing_objects
from .leases import acquire_leases
from .node import look_up_node
from .prometheus import look_up_operator


class Preconditions(NamedTuple):
    """The results of the lookups and reservations, before anything is created.

    Attributes:
        after: Resources that must exist first.
        node: The node of the images or of the exposure, if there is one.
        node_name: Name of the node that holds the images, known once the Pod can run on it.
        node_hostname: Its label kubernetes.io/hostname, which volumes select.
        claims: The claims in the registry's namespace.
    """

    after: Sequence[pulumi.Input[pulumi.Resource]]
    node: Node | None
    node_name: pulumi.Output[str] | None
    node_hostname: pulumi.Output[str] | None
    claims: pulumi.Output[ExistingClaims]


def check_preconditions(
    ctx: Context, settings: Settings, tolerations: Sequence[TolerationArgsDict], *, needs_node: bool
) -> Preconditions:
    """Look up every existing object, and reserve the folder and the addresses that no other registry may use.

    `tolerations` are those that the component sets on the Pod. `needs_node` looks up a node for the exposure.
    """
    is_pinned = settings.storage.kind.is_on_node
    needs_node = needs_node or is_pinned
    existing = look_up_existing_objects(ctx, settings, needs_node=needs_node)
    node = look_up_node(ctx, settings, tolerations, after=existing.checked) if needs_node else None
    pinned_to = node if is_pinned else None
    folder_on = pinned_to.name if pinned_to is not None else None
    after = [existing.checked, *acquire_leases(ctx, settings, folder_on, after=existing.checked)]
    if settings.service_monitor:
        after.append(look_up_operator(ctx, after=existing.checked))
    return Preconditions(
        after=after,
        node=node.resource if node is not None else None,
        node_name=folder_on,
        node_hostname=pinned_to.hostname if pinned_to is not None else None,
        claims=existing.claims,
    )
