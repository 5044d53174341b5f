"""Rules for the nodes that `node_selector` selects: there is one, and it can mount the volume of the images."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .errors import InvalidInput, quoted

Labels = Mapping[str, str]

Requirement = Mapping[str, Any]
"""A requirement of a node affinity: key, operator and values."""

MATCHES: dict[str, Callable[[str | None, Sequence[str]], bool]] = {
    "In": lambda label, values: label in values,
    "NotIn": lambda label, values: label not in values,
    "Exists": lambda label, values: label is not None,
    "DoesNotExist": lambda label, values: label is None,
    "Gt": lambda label, values: label is not None and int(label) > int(values[0]),
    "Lt": lambda label, values: label is not None and int(label) < int(values[0]),
}
"""Whether a label, or None, meets a requirement with these values, by operator (core/v1, NodeSelectorOperator)."""


def selected_nodes(selector: Labels, nodes: Mapping[str, Labels]) -> list[str]:
    """Return the names of the nodes with all labels of the selector. Refuse a selector without any such node."""
    names = [name for name, labels in nodes.items() if selector.items() <= labels.items()]
    if not names:
        labels = ",".join(f"{key}={value}" for key, value in selector.items())
        problem = f"selects no node: none of {len(nodes)} has the labels {quoted(labels)}"
        remedy = f"Run `kubectl label node NODE {labels.replace(',', ' ')}`, or take labels from "
        remedy += "`kubectl get nodes --show-labels`"
        raise InvalidInput("node_selector", "no-such-node", problem, remedy)
    return names


def refuse_nodes_without_volume(
    claim: str, affinity: Mapping[str, Any], names: Sequence[str], nodes: Mapping[str, Labels]
) -> None:
    """Refuse the nodes `names` if none of them can mount the volume of the claim, which has this node affinity."""
    terms = (affinity.get("required") or {}).get("nodeSelectorTerms") or []
    able = [name for name, labels in nodes.items() if any(_meets(name, labels, term) for term in terms)]
    if terms and not {*names} & {*able}:
        problem = f"selects {', '.join(names)}, but the volume of the claim {quoted(claim)} is on {', '.join(able)}"
        remedy = "Run `pulumi config rm node_selector`, or use labels of that node"
        raise InvalidInput("node_selector", "node-of-volume", problem, remedy)


def _meets(name: str, labels: Labels, term: Mapping[str, Any]) -> bool:
    """Return whether a node meets all requirements of a term. The only field of a term is the name of the node."""
    by_label = [(labels.get(item["key"]), item) for item in term.get("matchExpressions") or []]
    by_name = [(name, item) for item in term.get("matchFields") or []]
    return all(MATCHES[item["operator"]](value, item.get("values") or []) for value, item in by_label + by_name)
