"""Edit the registry's line in /etc/hosts. Other lines are never changed.

A removed line leaves the file as it was before, also if the file does not end with a line break.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

from ..stack import Endpoint

PATH = PurePosixPath("/etc/hosts")

MARKER = "# written by `python -m ops trust` for {endpoint}"


def add_line(text: str, registry: Endpoint, address: str) -> str:
    """Return the text with the registry's line. An old line of the registry is replaced in its place."""
    line = f"{address} {registry.host} {MARKER.format(endpoint=registry.endpoint)}"
    lines = text.split("\n")
    for number, old in enumerate(lines):
        if _is_marked(old, registry):
            return "\n".join([*lines[:number], line, *lines[number + 1 :]])
    end = len(lines) - (not lines[-1])
    return "\n".join([*lines[:end], line, *lines[end:]])


def remove_line(text: str, registry: Endpoint) -> str:
    """Return the text without the registry's line."""
    return "\n".join(line for line in text.split("\n") if not _is_marked(line, registry))


def marked_address(text: str, registry: Endpoint) -> str | None:
    """Return the address on the registry's line, or None if there is no such line."""
    return next((line.split()[0] for line in text.split("\n") if _is_marked(line, registry)), None)


def reaches_registry(resolved_addresses: Sequence[str], addresses: Sequence[str]) -> bool:
    """Return whether a name resolves to the registry. If its addresses are unknown, any address counts."""
    return bool(resolved_addresses) and (not addresses or bool(set(resolved_addresses) & set(addresses)))


def is_shared(text: str, registry: Endpoint) -> bool:
    """Return whether another registry with the same host has a line. That line is removed with the other registry."""
    marker = MARKER.format(endpoint=f"{registry.host}:")
    lines = (line for line in text.split("\n") if not _is_marked(line, registry))
    return any(f" {registry.host} {marker}" in line for line in lines)


def _is_marked(line: str, registry: Endpoint) -> bool:
    return line.endswith(MARKER.format(endpoint=registry.endpoint))
