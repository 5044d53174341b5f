"""Rules for tolerations, and for the taints of the node that holds the images."""

from collections.abc import Mapping, Sequence
from typing import Any

from .basics import MOST_ENTRIES, did_you_mean
from .errors import InvalidInput, quoted
from .names import QUALIFIED, is_qualified

FIELDS = ("key", "operator", "value", "effect")
"""Fields of a toleration. The component sets `tolerationSeconds` of its own tolerations only."""

OPERATORS = ("Exists", "Equal")

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")

EXAMPLE = "For example [{key: dedicated, operator: Exists, effect: NoSchedule}]"

UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
"""Key of the taint of a node after `kubectl cordon`."""

CONDITION_PREFIXES = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
"""Prefixes of the taints that Kubernetes sets and removes by itself, such as not-ready and disk-pressure."""

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
"""Key of a taint that an administrator sets on a node that is shut down, and removes."""

Toleration = Mapping[str, str]


def tolerations(value: list[Toleration]) -> list[Toleration]:
    """Require tolerations that the API server accepts (validation.go, ValidateTolerations). An effect is optional."""
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise InvalidInput("tolerations", "not-a-list", f"must be a list of maps, not {quoted(value)}", EXAMPLE)
    if len(value) > MOST_ENTRIES:
        problem = f"must have at most {MOST_ENTRIES} entries, not {len(value)}"
        raise InvalidInput(
            "tolerations", "too-many", problem, "Use the operator Exists to tolerate every value of a key"
        )
    for toleration in value:
        _check_fields(toleration)
        _check_values(toleration)
    return value


def _check_fields(toleration: Toleration) -> None:
    for field, item in toleration.items():
        if field not in FIELDS:
            remedy = did_you_mean(field, FIELDS) if isinstance(field, str) else ""
            raise InvalidInput(
                "tolerations", "unknown-key", f"has an entry with the unknown field {quoted(field)}", remedy or EXAMPLE
            )
        if not isinstance(item, str):
            problem = f"has an entry whose {field} must be text, not {quoted(item)}"
            remedy = f"Put the {field} in quotes"
            raise InvalidInput("tolerations", "not-text", problem, remedy)
    for field, choices in (("operator", OPERATORS), ("effect", EFFECTS)):
        if toleration.get(field) and toleration[field] not in choices:
            problem = f"has an entry whose {field} must be one of {', '.join(choices)}, not {quoted(toleration[field])}"
            raise InvalidInput("tolerations", "not-a-choice", problem, EXAMPLE)


def _check_values(toleration: Toleration) -> None:
    key, value = toleration.get("key", ""), toleration.get("value", "")
    is_equal = toleration.get("operator") != "Exists"
    lookup_remedy = "Take it from `kubectl describe node`"
    if key and not is_qualified(key):
        problem = f"has an entry whose key must be a name with an optional DNS prefix, not {quoted(key)}"
        raise InvalidInput("tolerations", "not-a-qualified-name", problem, lookup_remedy)
    if not key and is_equal:
        problem = "has an entry without a key. Such an entry needs the operator Exists"
        raise InvalidInput("tolerations", "key-missing", problem, EXAMPLE)
    if value and not is_equal:
        problem = f"has an entry with the operator Exists and the value {quoted(value)}"
        raise InvalidInput("tolerations", "value-with-exists", problem, "Remove the value, or use the operator Equal")
    if value and not QUALIFIED.fullmatch(value):
        problem = "has an entry whose value must be 1 to 63 letters, digits and -_. between letters or digits, not "
        problem += quoted(value)
        raise InvalidInput("tolerations", "not-a-label-value", problem, lookup_remedy)


def check_taints(node: str, spec: Mapping[str, Any], tolerations: Sequence[Toleration], input_count: int) -> str:
    """Raise `InvalidInput` if the Pod could not run on a node. Return a warning about passing taints, or "".

    Args:
        node: Name of the node.
        spec: Its spec.
        tolerations: All tolerations of the Pod.
        input_count: Number of entries of the input `tolerations`. The remedy adds another one.
    """
    conditions = []
    for taint in _untolerated(spec, tolerations):
        if _is_condition(taint):
            conditions.append(taint["key"])
            continue
        problem = f"is {node!r}, which has the taint {_format_taint(taint)}, and the Pod does not tolerate it"
        raise InvalidInput("node", "taint-not-tolerated", problem, _toleration_remedy(taint, input_count))
    if spec.get("unschedulable") or UNSCHEDULABLE in conditions:
        cordon_taint = {"key": UNSCHEDULABLE, "effect": "NoSchedule"}
        if not any(_tolerates(toleration, cordon_taint) for toleration in tolerations):
            problem = f"is {node!r}, which is unschedulable, so the registry's Pod cannot start on it"
            raise InvalidInput("node", "unschedulable", problem, f"Run `kubectl uncordon {node}`")
    if not conditions:
        return ""
    taints_text = "the taint " if len(conditions) == 1 else "the taints "
    return f"`node` {node} has {taints_text}{' and '.join(conditions)}. The Pod starts without such a taint."


def refuse_tainted_nodes(
    nodes: Mapping[str, Mapping[str, Any]], tolerations: Sequence[Toleration], input_count: int
) -> None:
    """Refuse a selector if the Pod does not tolerate any of the `nodes` that it selects. They are specs by name.

    `input_count` is the number of entries of the input `tolerations`.
    """
    lasting = {
        name: [taint for taint in _untolerated(spec, tolerations) if not _is_condition(taint)]
        for name, spec in nodes.items()
    }
    if all(lasting.values()):
        name, (taint, *_) = next(iter(lasting.items()))
        problem = f"selects no node that the Pod tolerates. {name!r} has the taint {_format_taint(taint)}"
        raise InvalidInput("node_selector", "taint-not-tolerated", problem, _toleration_remedy(taint, input_count))


def _untolerated(spec: Mapping[str, Any], tolerations: Sequence[Toleration]) -> list[Mapping[str, str]]:
    """Return the taints that keep the Pod from the node with this spec."""
    return [
        taint
        for taint in spec.get("taints") or []
        if taint["effect"] != "PreferNoSchedule"
        and not any(_tolerates(toleration, taint) for toleration in tolerations)
    ]


def _is_condition(taint: Mapping[str, str]) -> bool:
    """Return whether Kubernetes removes the taint by itself."""
    return taint["key"].startswith(CONDITION_PREFIXES) and taint["key"] != OUT_OF_SERVICE


def _toleration_remedy(taint: Mapping[str, str], input_count: int) -> str:
    path = f"tolerations[{input_count}]"
    return (
        f"Run `pulumi config set --path --type string '{path}.key' {taint['key']} && "
        f"pulumi config set --path '{path}.operator' Exists`"
    )


def _tolerates(toleration: Toleration, taint: Mapping[str, str]) -> bool:
    """Return whether the toleration matches the taint (core/v1, Toleration.ToleratesTaint)."""
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("key") not in (None, "", taint["key"]):
        return False
    return toleration.get("operator") == "Exists" or (toleration.get("value") or "") == (taint.get("value") or "")


def _format_taint(taint: Mapping[str, str]) -> str:
    """Return the taint as `kubectl taint` takes it."""
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{taint['effect']}"
