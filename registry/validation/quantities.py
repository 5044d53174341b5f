"""Kubernetes quantities: amounts of storage, memory and CPU time."""

import re
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import NamedTuple

from . import Described, InvalidInput, known_keys, text

SUFFIXES = {"m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
BINARY_SUFFIXES = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
"""Powers of ten and of two of a Kubernetes quantity (apimachinery, pkg/api/resource)."""


EXACT = Context(prec=80)
"""More digits than any amount has: by default the 29th is rounded away, and a fraction of a byte with it."""


class Range(NamedTuple):
    """What makes sense of a resource: least, most and smallest step."""

    least: Decimal
    most: Decimal
    step: Decimal
    example: str


RESOURCES = {
    "cpu": Range(Decimal("0.001"), Decimal(4096), Decimal("0.001"), "100m"),
    "memory": Range(Decimal(2**20), Decimal(2**50), Decimal(1), "128Mi"),
}
"""Cores, and bytes, of which less than a mebibyte is a forgotten suffix."""


def amount(key: str, value: str, example: str, *, milli: bool = False) -> Decimal:
    """The quantity as a number. Thousandths make sense of CPU time only."""
    binary = "Ki Mi Gi Ti Pi Ei (powers of two)"
    remedy = f"for example {example!r}; the suffixes are k M G T P E (powers of ten) and {binary}"
    given = text(key, value, example)
    match = re.fullmatch(r"([0-9]{1,32}(?:\.[0-9]{1,16})?)([A-Za-z]*)", given, re.ASCII)
    if not match or match[2] not in SUFFIXES | BINARY_SUFFIXES or (match[2] == "m" and not milli):
        raise InvalidInput(key, "a Kubernetes quantity", given, remedy)
    if match[2] in BINARY_SUFFIXES:
        return EXACT.multiply(Decimal(match[1]), Decimal(2 ** BINARY_SUFFIXES[match[2]]))
    return EXACT.scaleb(Decimal(match[1]), SUFFIXES[match[2]])


def resources(key: str, value: Mapping[str, str]) -> Mapping[str, str]:
    """What a container asks for, or may use: cpu and memory."""
    if not isinstance(value, Mapping):
        raise InvalidInput(key, "a map", value, "for example {cpu: 100m, memory: 128Mi}")
    known_keys([f"{key}.{each}" for each in value], [f"{key}.{each}" for each in RESOURCES])
    for name, given in value.items():
        least, most, step, example = RESOURCES[name]
        size = amount(f"{key}.{name}", given, example, milli=name == "cpu")
        if not least <= size <= most or size % step:
            remedy = f"for example {example!r}"
            raise InvalidInput(f"{key}.{name}", "an amount that a registry can run with", given, remedy)
    return value


def within_limits(requests: Mapping[str, str], limits: Mapping[str, str]) -> None:
    """Refuse to set aside more than may be used: the API server would."""
    for name in requests.keys() & limits.keys():
        asked, allowed = (amount(name, each[name], "1", milli=True) for each in (requests, limits))
        if asked > allowed:
            got = Described(f"{requests[name]} of {limits[name]}")
            raise InvalidInput(f"requests.{name}", f"at most `limits.{name}`", got, "raise the limit, or ask for less")
