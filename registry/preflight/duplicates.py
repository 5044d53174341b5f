"""Refuse two registries of one program that would share what only one can have."""

from collections.abc import MutableMapping
from typing import Any
from weakref import WeakKeyDictionary

from pulumi.runtime.settings import SETTINGS

from ..validation import InvalidInput

Reserved = dict[str, str]
"""The registry that has reserved each thing."""

_by_program: MutableMapping[Any, Reserved] = WeakKeyDictionary()
"""Reservations by connection to the engine. Every run of a program has its own connection."""

_of_process: Reserved | None = None
"""Reservations of the whole process, if it serves a plugin."""


def use_process_scope() -> None:
    """Share the reservations in the whole process: a plugin serves one run, with a connection for each registry."""
    global _of_process
    _of_process = {}


def reserve(key: str, thing: str, registry: str) -> str:
    """Reserve `thing` for `registry`, and return it. Refuse `key` if another registry has reserved it."""
    reserved = _by_program.setdefault(SETTINGS.monitor, {}) if _of_process is None else _of_process
    holder = reserved.setdefault(thing, registry)
    if holder != registry:
        problem = f"reserves {thing} for {registry!r}, but {holder!r} already has it"
        raise InvalidInput(key, "already-reserved", problem, f"Set another `{key}` for one of the two")
    return thing
