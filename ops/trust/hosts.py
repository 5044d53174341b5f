"""The line in /etc/hosts that lets this machine find the registry. Lines of others are never touched.

A text is its lines joined by line breaks, so that a line goes in and out again without a trace, whether the file ends
with a line break or not.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

from ..stack import Endpoint

PATH = PurePosixPath("/etc/hosts")

MARK = "# by `python -m ops trust` for {endpoint}"


def added(text: str, registry: Endpoint, address: str) -> str:
    """With our line, which is one at most: in its old place if it was there."""
    line = f"{address} {registry.host} {MARK.format(endpoint=registry.endpoint)}"
    lines = text.split("\n")
    for number, each in enumerate(lines):
        if _is_ours(each, registry):
            return "\n".join([*lines[:number], line, *lines[number + 1 :]])
    end = len(lines) - (not lines[-1])
    return "\n".join([*lines[:end], line, *lines[end:]])


def removed(text: str, registry: Endpoint) -> str:
    """Without our line."""
    return "\n".join(line for line in text.split("\n") if not _is_ours(line, registry))


def ours(text: str, registry: Endpoint) -> str | None:
    """The address on our line for the registry, if there is one."""
    return next((line.split()[0] for line in text.split("\n") if _is_ours(line, registry)), None)


def leads(resolved: Sequence[str], addresses: Sequence[str]) -> bool:
    """Whether a name that resolves so leads to the registry; if no address is known, it is believed to."""
    return bool(resolved) and (not addresses or bool(set(resolved) & set(addresses)))


def for_another(text: str, registry: Endpoint) -> bool:
    """Whether the name is known by a line of ours that goes away with another registry of the same host."""
    mark = MARK.format(endpoint=f"{registry.host}:")
    lines = (line for line in text.split("\n") if not _is_ours(line, registry))
    return any(f" {registry.host} {mark}" in line for line in lines)


def _is_ours(line: str, registry: Endpoint) -> bool:
    return line.endswith(MARK.format(endpoint=registry.endpoint))
