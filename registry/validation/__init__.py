"""Pure rules for the inputs of the component, and `checked`, which applies them.

A rule takes a value and returns it, or raises `InvalidInput`. Rules know neither Kubernetes objects nor each other's
keys. What the API server, Go's TLS or OpenSSL would refuse later is refused here, before anything is created.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

import pulumi

T = TypeVar("T")

LOGIN = re.compile(r"://[^@\s]+@")
"""Credentials of a URL: pasted where none belong, they are not repeated."""

LONGEST_LIST = 100
"""Entries: as names of a certificate they stay below the 100 KiB that OpenSSL reads of a chain."""


class InvalidInput(pulumi.RunError):
    """A refused input: the key, the rule, what was given (never a secret) and the remedy.

    Of a `RunError` the engine shows the message alone. It is no `ValueError`, though that would be the word for it: the
    SDK wraps those, and a value refused inside `apply` would end in a stack trace.
    """

    def __init__(self, key: str, must: str, got: object, remedy: str) -> None:
        named = key if key.isprintable() else repr(key)[1:-1]
        shown = LOGIN.sub("://...@", str(got) if isinstance(got, Described) else repr(got))
        super().__init__(f"`{_short(named)}` must be {must}, got {_short(shown)}: {remedy}")


def _short(shown: str) -> str:
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


class Described(str):
    """What was given, told in words: for a value that is secret or whose kind matters more than itself."""


def checked(value: pulumi.Input[T], rule: Callable[[T], T]) -> pulumi.Input[T]:
    """Apply `rule` now to a plain value, or inside `apply` to one that is or holds an Output; the checked value."""
    if dynamic(value):
        return pulumi.Output.from_input(value).apply(rule)
    return rule(value)  # type: ignore[arg-type]  # an Input[T] that is not dynamic is a T


def dynamic(value: Any) -> bool:
    """Whether the value, or a part of it, is known during deployment only."""
    if isinstance(value, Mapping):
        return any(dynamic(each) for each in value.values())
    if isinstance(value, list | tuple):
        return any(dynamic(each) for each in value)
    return isinstance(value, pulumi.Output | Awaitable)


def known_before(key: str, value: T) -> T:
    """A value that shapes the graph, so that it cannot come from another resource."""
    if dynamic(value):
        remedy = "take it from the config, or wait for the other resource's value in a stack of its own"
        raise InvalidInput(key, "known before deployment", Described("an Output"), remedy)
    return value


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


def one_of(key: str, value: object, choices: Collection[str], remedy: str) -> str:
    """One word of a few."""
    if not isinstance(value, str) or value not in choices:
        raise InvalidInput(key, f"one of {', '.join(choices)}", value, remedy)
    return value


def flag(key: str, value: object) -> bool:
    """Yes or no; YAML's and the shell's other words for it are text here."""
    if not isinstance(value, bool):
        raise InvalidInput(key, "true or false", value, f"`pulumi config set {key} true`")
    return value


def words(key: str, value: object, example: list[str]) -> list[str]:
    """A list of texts, each once, and not so many that no object holds them."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidInput(key, "a list of texts", value, f"for example {example!r}")
    if len(value) > LONGEST_LIST:
        raise InvalidInput(key, f"at most {LONGEST_LIST} entries", Described(str(len(value))), "summarize them")
    if len({each.lower() for each in value}) < len(value):
        raise InvalidInput(key, "a list without repetition", value, "name each one once")
    return value


def whole_number(key: str, value: object, low: int, high: int, what: str, remedy: str) -> int:
    """A whole number from `low` to `high`; 5000.0 is one, as numbers cross the plugin boundary as floats."""
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not is_whole or not low <= value <= high:  # type: ignore[operator]
        raise InvalidInput(key, f"{what} from {low} to {high}", value, remedy)
    return int(value)  # type: ignore[call-overload, no-any-return]
