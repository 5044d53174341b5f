"""Rules for basic types: text, choices, flags, lists and whole numbers."""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import Any

from .errors import InvalidInput, quoted

MOST_ENTRIES = 100
"""Entries of a list. As names in a certificate they stay below the 100 KiB that OpenSSL reads of a chain."""


def refuse_unknown_keys(keys: Collection[str], known: Collection[str]) -> None:
    """Refuse a key that no part reads, because a mistyped key would silently have no effect."""
    for key in sorted(set(keys) - set(known)):
        remedy = did_you_mean(key, known) or f"Remove it. The settings are {', '.join(sorted(known))}"
        raise InvalidInput(key, "unknown-key", "is not a setting", remedy)


def did_you_mean(word: str, known: Collection[str], prefix: str = "") -> str:
    """Return a question with the closest of the known words, or "" if none is close."""
    closest = get_close_matches(word, known, n=1)
    return f"Did you mean `{prefix}{closest[0]}`?" if closest else ""


def text(key: str, value: object, example: str) -> str:
    """Require text, before a rule looks at its characters."""
    if not isinstance(value, str):
        raise InvalidInput(key, "not-text", f"must be text, not {quoted(value)}", f"For example {example!r}")
    return value


def typed_text(value: object) -> object:
    """Return a whole number or a flag as the text that was typed, and any other value unchanged.

    `pulumi config set --path` stores `2` as a number and `true` as a flag, though the input wants text. Numbers that do
    not fit 64 bits have lost digits, as floats do above 2^53, and fractions such as 1.10 have lost zeros. They stay.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value) if isinstance(value, int) and abs(value) < 2**63 else value


def one_of(key: str, value: object, choices: type[StrEnum], remedy: str) -> str:
    """Require a word of `choices`, and return it as plain text."""
    if not isinstance(value, str) or value not in [*choices]:
        closest = did_you_mean(value, [*choices]) if isinstance(value, str) else ""
        problem = f"must be one of {', '.join(choices)}, not {quoted(value)}"
        raise InvalidInput(key, "not-a-choice", problem, closest or remedy)
    return str(value)


def flag(key: str, value: object) -> bool:
    """Require true or false, or their text. Other words that YAML and shells use are text here."""
    value = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
    if not isinstance(value, bool):
        problem = f"must be true or false, not {quoted(value)}"
        path = f"--path {key}" if "." in key else key  # a field of a map, such as collect.delete_untagged
        raise InvalidInput(key, "not-a-flag", problem, f"Run `pulumi config set {path} true`")
    return value


def texts(key: str, value: object, example: str) -> list[str]:
    """Require a list of distinct texts."""
    items = [typed_text(item) for item in value] if isinstance(value, list) else []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in items):
        problem = f"must be a list of texts, not {quoted(value)}"
        raise InvalidInput(key, "not-a-list", problem, f"Run `pulumi config set --path '{key}[0]' {example}`")
    entries = [str(item) for item in items]
    if len(entries) > MOST_ENTRIES:
        problem = f"must have at most {MOST_ENTRIES} entries, not {len(entries)}"
        raise InvalidInput(key, "too-many", problem, "Summarize them")
    if len(set(entries)) < len(entries):
        raise InvalidInput(key, "repeated", f"names an entry twice: {quoted(value)}", "Name each one once")
    return entries


def rule_list(key: str, value: object, example: str, remedy: str) -> list[Mapping[str, Any]]:
    """Require a list of maps. `remedy` says how to need fewer of them."""
    if not isinstance(value, list) or not all(isinstance(rule, Mapping) for rule in value):
        raise InvalidInput(key, "not-a-list", f"must be a list of rules, not {quoted(value)}", example)
    if len(value) > MOST_ENTRIES:
        raise InvalidInput(key, "too-many", f"must have at most {MOST_ENTRIES} rules, not {len(value)}", remedy)
    return value


def whole_number(key: str, value: object, low: int, high: int, what: str, remedy: str) -> int:
    """Require a whole number from `low` to `high`.

    5000.0 is one, because plugins receive numbers as floats. So is the text 5000, because a program may read it from
    its config or its environment.
    """
    if isinstance(value, str) and re.fullmatch(r"0|-?[1-9][0-9]{0,17}", value, re.ASCII):
        value = int(value)
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not is_whole or not low <= value <= high:  # type: ignore[operator]
        shown = int(value) if isinstance(value, float) and is_whole else value
        raise InvalidInput(key, "out-of-range", f"must be {what} from {low} to {high}, not {quoted(shown)}", remedy)
    return int(value)  # type: ignore[call-overload, no-any-return]
