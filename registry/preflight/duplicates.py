"""Refuse two registries of one program that would share what only one can have."""

from collections.abc import MutableMapping
from typing import Any
from weakref import WeakKeyDictionary

from pulumi.runtime.settings import SETTINGS

from ..validation import InvalidInput

Reserved = dict[str, str]
"""The registry that has reserved each thing."""

_reserved_by_connection: MutableMapping[Any, Reserved] = WeakKeyDictionary()
"""Reservations by connection to the engine. Every run of a program has its own connection."""

_reserved_in_process: Reserved | None = None
"""Reservations of the whole process if it serves a plugin, else None."""


def use_process_scope() -> None:
    """Share the reservations in the whole process: a plugin serves one run, with a connection for each registry."""
    global _reserved_in_process
    _reserved_in_process = {}


def reserve(key: str, thing: str, registry: str) -> str:
    """Reserve `thing` for `registry`, and return it. Refuse `key` if another registry has reserved it."""
    reserved = _reserved_in_process
    if reserved is None:
        reserved = _reserved_by_connection.setdefault(SETTINGS.monitor, {})
    holder = reserved.setdefault(thing, registry)
    if holder != registry:
        problem = f"reserves {thing} for {registry!r}, but {holder!r} already has it"
        raise InvalidInput(key, "already-reserved", problem, f"Set another `{key}` for one of the two")
    return thing
