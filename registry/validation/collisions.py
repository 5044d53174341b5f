"""What two registries of one program may not both have."""

from collections.abc import MutableMapping
from typing import Any
from weakref import WeakKeyDictionary

from pulumi.runtime.settings import SETTINGS

from . import Described, InvalidInput

_held: MutableMapping[Any, dict[str, str]] = WeakKeyDictionary()
"""By the engine's connection, of which every run of a program has its own: what is taken, and by which registry."""


def claim(key: str, thing: str, registry: str) -> str:
    """Take `thing` for `registry`, or refuse `key`, which another one of this program set alike; the thing."""
    holder = _held.setdefault(SETTINGS.monitor, {}).setdefault(thing, registry)
    if holder != registry:
        got = Described(f"{thing}, which {holder!r} has")
        raise InvalidInput(key, f"the registry's alone ({registry!r})", got, f"set another `{key}` for one of the two")
    return thing
