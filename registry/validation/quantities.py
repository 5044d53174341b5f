"""Rules for Kubernetes quantities: amounts of storage, memory and CPU time."""

import re
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import NamedTuple

from .basics import refuse_unknown_keys, text
from .errors import InvalidInput, quoted

SUFFIXES = {"m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
BINARY_SUFFIXES = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
"""Suffixes of a Kubernetes quantity, as powers of ten and of two (apimachinery, pkg/api/resource)."""

EXACT = Context(prec=80)
"""Arithmetic with more digits than any amount has. By default the 29th digit would be rounded away."""


class Range(NamedTuple):
    """The amounts of a resource that make sense: least, most and smallest step."""

    least: Decimal
    most: Decimal
    step: Decimal
    example: str


RESOURCES = {
    "cpu": Range(Decimal("0.001"), Decimal(4096), Decimal("0.001"), "100m"),
    "memory": Range(Decimal(2**20), Decimal(2**50), Decimal(1), "128Mi"),
}
"""Range of each resource, in cores and in bytes. Less than a mebibyte of memory is a forgotten suffix."""


def quantity(value: object) -> object:
    """Return a number as the text of a quantity, and any other value unchanged.

    `pulumi config set --path limits.cpu 2` stores a number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return format(Decimal(repr(value)), "f").removesuffix(".0")


def amount(key: str, value: object, example: str, *, milli: bool = False) -> Decimal:
    """Return the quantity as a number. `milli` allows thousandths, which make sense for CPU time only."""
    written = text(key, value, example)
    match = re.fullmatch(r"([0-9]{1,32}(?:\.[0-9]{1,16})?)([A-Za-z]*)", written, re.ASCII)
    if not match or match[2] not in SUFFIXES | BINARY_SUFFIXES or (match[2] == "m" and not milli):
        problem = f"must be a Kubernetes quantity, not {quoted(written)}"
        suffixes = "k M G T P E (powers of ten) and Ki Mi Gi Ti Pi Ei (powers of two)"
        raise InvalidInput(key, "not-a-quantity", problem, f"For example {example!r}. The suffixes are {suffixes}")
    if match[2] in BINARY_SUFFIXES:
        return EXACT.multiply(Decimal(match[1]), Decimal(2 ** BINARY_SUFFIXES[match[2]]))
    return EXACT.scaleb(Decimal(match[1]), SUFFIXES[match[2]])


def resources(key: str, value: Mapping[str, str]) -> Mapping[str, str]:
    """Require amounts of cpu and memory that a container can run with."""
    if not isinstance(value, Mapping):
        problem = f"must be a map, not {quoted(value)}"
        raise InvalidInput(key, "not-a-map", problem, f"Run `pulumi config set --path {key}.memory 512Mi`")
    refuse_unknown_keys([f"{key}.{name}" for name in value], [f"{key}.{name}" for name in RESOURCES])
    quantities = {name: quantity(number) for name, number in value.items()}
    for name, written in quantities.items():
        least, most, step, example = RESOURCES[name]
        size = amount(f"{key}.{name}", written, example, milli=name == "cpu")
        if not least <= size <= most or size % step:
            problem = f"must be an amount that a registry can run with, not {quoted(written)}"
            raise InvalidInput(f"{key}.{name}", "not-an-amount", problem, f"For example {example!r}")
    return quantities  # type: ignore[return-value]  # `amount` refuses all but text


def within_limits(prefix: str, requests: Mapping[str, str], limits: Mapping[str, str]) -> None:
    """Refuse to request more than the limit, because the API server would. `prefix` is that of both inputs."""
    for name in requests.keys() & limits.keys():
        requested, limit = (amount(name, quantities[name], "1", milli=True) for quantities in (requests, limits))
        if requested > limit:
            problem = f"is {requests[name]}, but must be at most `{prefix}limits.{name}`, which is {limits[name]}"
            remedy = "Raise the limit, or request less"
            raise InvalidInput(f"{prefix}requests.{name}", "more-than-limit", problem, remedy)
