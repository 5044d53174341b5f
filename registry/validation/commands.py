"""Commands that messages name, as a person types them in a shell."""

import shlex
from collections.abc import Sequence


def entry_path(key: str, name: object) -> str:
    """Return the path of an entry of a map for `pulumi config --path`. The name may have dots and quotes."""
    escaped = str(name).replace('"', '\\"')
    return f'{key}["{escaped}"]'


def set_password(user: str) -> str:
    """Return the command that sets the password of a user. It asks for the password."""
    return f"pulumi config set --secret --path {shlex.quote(entry_path('passwords', user))}"


def set_entry(key: str, name: object, value: str) -> str:
    """Return the command that sets an entry of a map to a text, which may look like a number or a flag."""
    return f"pulumi config set --path --type string {shlex.quote(entry_path(key, name))} {shlex.quote(value)}"


def set_numbers(key: str, numbers: Sequence[int]) -> str:
    """Return the commands that replace a list of numbers. `key` may be an entry of a map, such as `map.name`."""
    name, dot, entry = key.partition(".")
    path = entry_path(name, entry) if dot else name
    items = " ".join(f"--plaintext {shlex.quote(f'{path}[{i}]={number}')}" for i, number in enumerate(numbers))
    return f"pulumi config rm --path {shlex.quote(path)} && pulumi config set-all --path {items}"
