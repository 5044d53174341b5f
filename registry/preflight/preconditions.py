"""All lookups and reservations, in their order."""

from collections.abc import Sequence
from typing import NamedTuple

import pulumi
from pulumi_kubernetes.core.v1 import TolerationArgsDict

from ..context import Context
from ..lookup import FoundObjects
from ..settings import Settings
from .duplicates import reserve
from .existing_objects import look_up_existing_objects
from .leases import acquire_leases
from .node_of_images import NodeOfImages, check_node
from .node_selector import check_node_selector
from .quotas import quota_demand
from .references import more_objects, named_objects


class Preconditions(NamedTuple):
    """The results of the lookups and reservations, before anything is created.

    Attributes:
        after: Resources that must exist first.
        found: The objects that exist.
        node: The node that holds the images, if one does.
    """

    after: Sequence[pulumi.Input[pulumi.Resource]]
    found: pulumi.Output[FoundObjects]
    node: NodeOfImages | None


def check_preconditions(
    ctx: Context, settings: Settings, tolerations: Sequence[TolerationArgsDict], *, needs_node: bool
) -> Preconditions:
    """Look up every existing object, and reserve the folder and the addresses that no other registry may use.

    `tolerations` are those that the component sets on the Pod. `needs_node` means that the exposure needs a node, even
    if the images are on none.
    """
    reserve("namespace", f"namespace {settings.objects.namespace}", ctx.name)
    if settings.exposure.node_port is not None:
        reserve("node_port", f"node port {settings.exposure.node_port}", ctx.name)
    if settings.discovery:
        reserve("discovery", "the one discovery ConfigMap of the cluster", ctx.name)
    if settings.pull_secrets is not None and settings.pull_secrets.default_pull_secret:
        for namespace in settings.pull_secrets.pull_secrets:
            reserve("default_pull_secret", f"the default ServiceAccount of {namespace}", ctx.name)
    is_pinned = settings.storage.kind.is_on_node
    objects, exposure = settings.objects, settings.exposure
    more = more_objects(
        ctx.app,
        objects,
        exposure,
        uses_default_class=settings.storage.uses_default_class,
        selects_nodes=bool(settings.workload.node_selector),
    )
    existing = look_up_existing_objects(
        ctx,
        [*named_objects(settings, needs_node=needs_node or is_pinned)],
        *(more, objects, exposure, quota_demand(settings)),
        has_jobs=settings.maintenance is not None,
    )
    found = check_node_selector(ctx, settings.workload, tolerations, existing.found)
    checked = pulumi.Output.all(existing.checked, found).apply(lambda both: both[0])
    node = check_node(settings.storage.node, settings.workload, tolerations, found) if is_pinned else None
    node_name = node.name if node is not None else None
    leases = acquire_leases(ctx, settings.exposure, settings.storage, node_name, after=checked)
    return Preconditions([checked, *leases], found, node)
