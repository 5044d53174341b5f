"""Rules for values that may be Outputs, which are known during deployment only."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import pulumi

from .errors import InvalidInput

T = TypeVar("T")


def validate(value: pulumi.Input[T], rule: Callable[[T], T]) -> pulumi.Input[T]:
    """Return the value that `rule` accepts. A plain value is checked now, an Output during deployment."""
    if contains_output(value):
        return pulumi.Output.from_input(value).apply(rule)
    return rule(value)  # type: ignore[arg-type]  # an Input[T] without an Output is a T


def contains_output(value: Any) -> bool:
    """Return whether the value, or a part of it, is an Output."""
    if isinstance(value, Mapping):
        return any(contains_output(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(contains_output(item) for item in value)
    return isinstance(value, pulumi.Output | Awaitable)


def require_plain_value(key: str, value: T) -> T:
    """Return the value. Refuse an Output for an input that decides which resources there are."""
    if contains_output(value):
        raise InvalidInput(
            key,
            "output-not-allowed",
            "must be a plain value, not an Output, because it decides which resources the component creates",
            "Take it from the config, or deploy the other resource in a stack of its own",
        )
    return value
