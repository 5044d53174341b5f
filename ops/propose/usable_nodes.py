"""The nodes that can run the registry, the best one first."""

from collections.abc import Iterator
from dataclasses import dataclass

from registry.pods import CONTROL_PLANE
from registry.validation import InvalidInput
from registry.validation.existing_objects import hostname_of
from registry.validation.tolerations import CONDITION_PREFIXES, Toleration, check_taints

from ..errors import CommandError
from ..kubernetes import Object

CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"
"""Label of the nodes of the control plane. The images go to another node if there is one."""


@dataclass(frozen=True)
class UsableNode:
    """A node that Pods can run on, if they tolerate the taint `tainted_by`, which is "" for most nodes."""

    name: str
    tainted_by: str
    is_control_plane: bool
    node: Object

    @property
    def preference(self) -> tuple[bool, bool, str]:
        """Return a key to sort by: untainted workers first."""
        return bool(self.tainted_by), self.is_control_plane, self.name


def find_usable_nodes(nodes: list[Object]) -> list[UsableNode]:
    """Return the nodes that can run Pods, the best one first. Raise if there is no such node."""
    usable = sorted(_usable_nodes(nodes), key=lambda node: node.preference)
    if not usable:
        raise CommandError("No node of the cluster can run the registry.", "See `kubectl get nodes`, and add a node.")
    return usable


def _usable_nodes(nodes: list[Object]) -> Iterator[UsableNode]:
    """Yield the Linux nodes that are ready and have at most one taint that the registry does not tolerate."""
    for node in nodes:
        name, labels = node["metadata"]["name"], node["metadata"].get("labels") or {}
        conditions = (node.get("status") or {}).get("conditions") or []
        is_ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
        tainted_by = _needed_toleration(name, node)
        if is_ready and tainted_by is not None and labels.get("kubernetes.io/os", "linux") == "linux":
            yield UsableNode(name, tainted_by, CONTROL_PLANE_LABEL in labels, node)


def _needed_toleration(name: str, node: Object) -> str | None:
    """Return the key of the taint that must be tolerated, "" without such a taint, or None if Pods cannot run there."""
    spec = node.get("spec") or {}
    own: list[Toleration] = [{"key": str(CONTROL_PLANE["key"]), "operator": "Exists", "effect": "NoSchedule"}]
    keys = [taint["key"] for taint in spec.get("taints") or []]
    # Kubernetes removes the taint of a condition when the node recovers. Until then another node is better.
    for key in ("", *(key for key in keys if not key.startswith(CONDITION_PREFIXES))):
        more: list[Toleration] = [{"key": key, "operator": "Exists"}] if key else []
        try:
            hostname_of(name, node["metadata"].get("labels"))
            return None if check_taints(name, spec, [*own, *more], len(more)) else key
        except InvalidInput:
            continue
    return None
