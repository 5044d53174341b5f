"""Pure rules for the inputs of the component, and `checked`, which applies them.

A rule takes a value and returns it, or raises `InvalidInput`. Rules know neither Kubernetes objects nor each other's
keys. What the API server, Go's TLS or OpenSSL would refuse later is refused here, before anything is created.
"""

from collections.abc import Callable, Collection
from difflib import get_close_matches
from typing import TypeVar

import pulumi

T = TypeVar("T")


class InvalidInput(pulumi.RunError):
    """A refused input: the key, the rule, what was given (never a secret) and the remedy.

    Of a `RunError` the engine shows the message alone. It is no `ValueError`, though that would be the word for it: the
    SDK wraps those, and a value refused inside `apply` would end in a stack trace.
    """

    def __init__(self, key: str, must: str, got: object, remedy: str) -> None:
        shown = str(got) if isinstance(got, Described) else repr(got)
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        super().__init__(f"`{key}` must be {must}, got {shown}: {remedy}")


class Described(str):
    """What was given, told in words: for a value that is secret or whose kind matters more than itself."""


def checked(value: pulumi.Input[T], rule: Callable[[T], T]) -> pulumi.Input[T]:
    """Apply `rule` now to a plain value, or inside `apply` to an Output, and hand on the checked value."""
    if isinstance(value, pulumi.Output):
        return value.apply(rule)
    return rule(value)  # type: ignore[arg-type]  # an Input[T] that is no Output is taken as a T


def known_keys(given: Collection[str], known: Collection[str]) -> None:
    """Refuse a key that nobody reads: a typo would otherwise be a setting that silently does nothing."""
    for key in sorted(set(given) - set(known)):
        close = get_close_matches(key, known, n=1)
        remedy = f"did you mean `{close[0]}`?" if close else f"remove it; the settings are {', '.join(sorted(known))}"
        raise InvalidInput(key, "a setting of the registry", Described("an unknown key"), remedy)


def text(key: str, value: object, example: str) -> str:
    """A string, for rules that go on to look inside it."""
    if not isinstance(value, str):
        raise InvalidInput(key, "text", value, f"for example {example!r}")
    return value


def whole_number(key: str, value: object, low: int, high: int, what: str, remedy: str) -> int:
    """A whole number from `low` to `high`; 5000.0 is one, as numbers cross the plugin boundary as floats."""
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not is_whole or not low <= value <= high:  # type: ignore[operator]
        raise InvalidInput(key, f"{what} from {low} to {high}", value, remedy)
    return int(value)  # type: ignore[call-overload, no-any-return]
