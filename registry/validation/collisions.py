"""What two registries of one program may not both have."""

from collections.abc import MutableMapping
from typing import Any
from weakref import WeakKeyDictionary

from pulumi.runtime.settings import SETTINGS

from . import Described, InvalidInput

serves_a_plugin = False
"""Set by the plugin's entry."""

Held = dict[str, str]
"""What is taken, and by which registry."""

_of_programs: MutableMapping[Any, Held] = WeakKeyDictionary()
"""By the connection to the engine, of which every run of a program has its own."""

_of_the_plugin: Held = {}
"""A plugin's process serves one run, with a connection for each registry."""


def claim(key: str, thing: str, registry: str) -> str:
    """Take `thing` for `registry`, or refuse `key`, which another one of this program set alike; the thing."""
    held = _of_the_plugin if serves_a_plugin else _of_programs.setdefault(SETTINGS.monitor, {})
    holder = held.setdefault(thing, registry)
    if holder != registry:
        got = Described(f"{thing}, which {holder!r} has")
        raise InvalidInput(key, f"the registry's alone ({registry!r})", got, f"set another `{key}` for one of the two")
    return thing
