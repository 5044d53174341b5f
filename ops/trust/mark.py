"""The first line of every file of ours: by it a later call knows what it may change and take away.

Readers of PEM ignore text before a block (RFC 7468, section 2), and TOML has such comments. The line also tells how
many folders above the file were made for it, innermost first: those go with it if nothing else is in them by then.
"""

import re
from typing import NamedTuple

LINE = "# By `python -m ops trust` for {endpoint}, with {made} folders; `--remove` takes it away.\n"
PATTERN = re.compile(r"# By `python -m ops trust` for (\S+), with (\d+) folders; .*\n")


class Marked(NamedTuple):
    """A file of ours: the registry it is for, how many folders were made for it, and what follows the mark."""

    endpoint: str
    made: int
    body: str


def text(file: Marked) -> str:
    """The whole file."""
    return LINE.format(endpoint=file.endpoint, made=file.made) + file.body


def read(content: str) -> Marked | None:
    """The file of ours that has this content; none if it is somebody else's."""
    found = PATTERN.match(content)
    return Marked(found[1], int(found[2]), content[found.end() :]) if found else None
