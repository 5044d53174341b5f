"""Rules for the quotas and limit ranges of an existing namespace, which would reject the Pod or the claim.

The names of the resources are those of Kubernetes (core/v1, ResourceName): `limits.cpu`, `pods`, `requests.storage`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from .errors import InvalidInput
from .quantities import BINARY_SUFFIXES, RESOURCES, amount

OTHER_PODS = {"BestEffort", "Terminating", "PriorityClass", "CrossNamespacePodAffinity"}
"""Scopes of quotas that do not count the registry's Pods. They have requests, and no deadline."""

EXAMPLES = {"cpu": "500m", "memory": "512Mi"}

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Container:
    """The requests and limits of a container, cpu and memory. `prefix` is that of their inputs, such as `front_`."""

    prefix: str
    requests: Mapping[str, str]
    limits: Mapping[str, str]


@dataclass(frozen=True)
class Demand:
    """The resources that the registry needs in its namespace.

    Attributes:
        replicas: Number of Pods.
        containers: The containers of each Pod.
        others: The containers of other Pods, of a job and of the exporter. Two jobs can wait for each other.
        counts: Other resources by name, without the prefix `count/`: numbers of objects, and the storage.
        sidecars: More containers of these Pods.
    """

    replicas: int
    containers: Sequence[Container]
    others: Sequence[Container]
    counts: Mapping[str, str]
    sidecars: Sequence[Container] = ()

    @property
    def all_containers(self) -> Sequence[Container]:
        """Return the containers of each Pod, and those of the other Pods."""
        return [*self.containers, *self.others]


def refuse_exceeded_quotas(
    namespace: str, quotas: Sequence[Object], limit_ranges: Sequence[Object], demand: Demand, *, is_deployed: bool
) -> None:
    """Refuse amounts that a quota or a limit range of the namespace would reject.

    If the registry `is_deployed`, the used amounts contain its own, so only the whole quotas are compared.
    """
    demand = replace(
        demand,
        containers=[_with_defaults(container, limit_ranges) for container in demand.containers],
        others=[_with_defaults(container, limit_ranges) for container in demand.others],
        sidecars=[_with_defaults(container, limit_ranges) for container in demand.sidecars],
    )
    for container in demand.all_containers:
        _refuse_outside_of_ranges(namespace, limit_ranges, container)
    for quota in quotas:
        name = quota["metadata"]["name"]
        for resource, left in _counted(quota, is_deployed=is_deployed):
            kind, _, unit = resource.rpartition(".")
            for container in demand.all_containers if unit in RESOURCES else ():
                if unit not in getattr(container, kind):
                    key = f"{container.prefix}{resource}"
                    problem = f"is missing, but the quota {name!r} of the namespace {namespace!r} counts it"
                    remedy = f"Run `pulumi config set --path --type string {key} {EXAMPLES[unit]}`"
                    raise InvalidInput(key, "quota-needs-it", problem, remedy)
            needed = _needed(demand, resource)
            if needed is not None and needed > left:
                problem = f"does not fit the quota {name!r} of the namespace {namespace!r}: the registry needs"
                problem += f" {_shown(needed)} of {resource}, and {_shown(left)} is left"
                raise InvalidInput(_key(resource), "quota-exceeded", problem, "Raise the quota, or use less")


def _with_defaults(container: Container, limit_ranges: Sequence[Object]) -> Container:
    """Add the defaults of the limit ranges, and those of Kubernetes: a missing request is the limit."""
    limits, requests = dict(container.limits), dict(container.requests)
    for item in _containers(limit_ranges):
        limits = {**(item.get("default") or {}), **limits}
        requests = {**(item.get("defaultRequest") or {}), **container.limits, **requests}
    return replace(container, limits=limits, requests={**limits, **requests})


def _refuse_outside_of_ranges(namespace: str, limit_ranges: Sequence[Object], container: Container) -> None:
    """Refuse amounts below the minimum of a limit range, or above its maximum."""
    for item in _containers(limit_ranges):
        for unit in RESOURCES:
            for kind, bound in (("requests", "min"), ("limits", "max")):
                value, limit = getattr(container, kind).get(unit), (item.get(bound) or {}).get(unit)
                if value is None or limit is None:
                    continue
                is_outside = _amount(value) < _amount(limit) if bound == "min" else _amount(value) > _amount(limit)
                if is_outside:
                    side = "least" if bound == "min" else "most"
                    problem = f"is {value}, but a limit range of the namespace {namespace!r} requires"
                    problem += f" at {side} {limit}"
                    key = f"{container.prefix}{kind}.{unit}"
                    remedy = f"Run `pulumi config set --path --type string {key} {limit}`"
                    raise InvalidInput(key, "outside-of-limit-range", problem, remedy)


def _containers(limit_ranges: Sequence[Object]) -> Iterator[Object]:
    for limit_range in limit_ranges:
        yield from (item for item in limit_range["spec"].get("limits") or [] if item["type"] == "Container")


def _counted(quota: Object, *, is_deployed: bool) -> Iterator[tuple[str, Decimal]]:
    """Yield each resource that the quota counts for the registry, and its free amount."""
    scopes = {*(quota["spec"].get("scopes") or [])}
    scopes |= {item["scopeName"] for item in (quota["spec"].get("scopeSelector") or {}).get("matchExpressions") or []}
    if scopes & OTHER_PODS:
        return
    used = {} if is_deployed else (quota.get("status") or {}).get("used") or {}
    for resource, hard in (quota["spec"].get("hard") or {}).items():
        full = f"requests.{resource}" if resource in RESOURCES else resource.removeprefix("count/")
        try:
            left = _amount(hard) - _amount(used.get(resource, "0"))
        except InvalidInput:
            continue  # a quantity with an exponent, which `amount` does not read
        yield full, left


def _needed(demand: Demand, resource: str) -> Decimal | None:
    """Return the needed amount of the resource, or None if the registry does not need it."""
    kind, _, unit = resource.rpartition(".")
    if unit in RESOURCES:
        amounts = (_amount(getattr(container, kind)[unit]) for container in demand.containers)
        of_others = (_amount(getattr(container, kind)[unit]) for container in [*demand.others, *demand.sidecars])
        return sum(amounts, Decimal()) * demand.replicas + sum(of_others, Decimal())
    if resource == "pods":
        return Decimal(demand.replicas + len(demand.others))
    return _amount(demand.counts[resource]) if resource in demand.counts else None


def _key(resource: str) -> str:
    """Return the input that decides how much of the resource is needed."""
    if resource.rpartition(".")[2] in RESOURCES:
        return resource
    return {"pods": "replicas", "requests.storage": "storage_size"}.get(resource, "namespace")


def _amount(quantity: str) -> Decimal:
    return amount("quota", quantity, "1", milli=True)


def _shown(value: Decimal) -> str:
    """Return the amount with the largest suffix that keeps it whole, if it has many bytes."""
    for suffix, power in reversed(BINARY_SUFFIXES.items()):
        if value and value % 2**power == 0:
            return f"{value / 2**power:f}{suffix}"
    return f"{value.normalize():f}"
