"""The node that holds the images: whether the Pod can run on it, and how volumes select it."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import pulumi
from pulumi_kubernetes.core.v1 import TolerationArgsDict

from ..lookup import FoundObjects
from ..settings import WorkloadSettings
from ..validation.existing_objects import hostname_of
from ..validation.tolerations import Toleration, check_taints


class NodeOfImages(NamedTuple):
    """A node that the Pod can run on.

    Attributes:
        name: Its name, known once it is checked.
        hostname: The value of its label kubernetes.io/hostname, which volumes select.
    """

    name: pulumi.Output[str]
    hostname: pulumi.Output[str]


def check_node(
    name: pulumi.Input[str],
    workload: WorkloadSettings,
    tolerations: Sequence[TolerationArgsDict],
    found: pulumi.Output[FoundObjects],
) -> NodeOfImages:
    """Refuse a node with taints that the Pod does not tolerate. `tolerations` are those that the component sets."""
    own = [cast(Toleration, toleration) for toleration in tolerations]

    def check(resolved: Sequence[Any]) -> tuple[str, str]:
        name, objects, more = resolved
        node = objects.node or {}
        hostname = hostname_of(name, (node.get("metadata") or {}).get("labels"))
        if warning := check_taints(name, node.get("spec") or {}, [*own, *more], len(more)):
            pulumi.log.warn(warning)
        return name, hostname

    # The name of a node is public, even if the program has it from a secret.
    operands = pulumi.Output.all(name, found, workload.tolerations)
    checked = pulumi.Output.unsecret(operands.apply(check))
    return NodeOfImages(checked.apply(lambda both: both[0]), checked.apply(lambda both: both[1]))
