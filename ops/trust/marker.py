"""The first line of every file that `ops trust` writes. The command changes only files with this line.

Readers of PEM ignore text before a block (RFC 7468, section 2), and the line is a comment in TOML. The line also has
the number of folders that were created for the file, counted from its own folder upwards. They are removed with it if
they are empty.
"""

import re
from typing import NamedTuple

LINE = "# Written by `python -m ops trust` for {endpoint}, with {folders} folders. `--remove` removes it.\n"
PATTERN = re.compile(r"# Written by `python -m ops trust` for (\S+), with (\d+) folders\. .*\n")


class MarkedFile(NamedTuple):
    """A file of this command: its registry, the number of folders created for it, and the text after the marker."""

    endpoint: str
    folders: int
    body: str


def format_file(file: MarkedFile) -> str:
    """Return the text of the whole file: the marker and the body."""
    return LINE.format(endpoint=file.endpoint, folders=file.folders) + file.body


def parse_file(text: str) -> MarkedFile | None:
    """Return the parts of a file's text, or None if it has no marker."""
    match = PATTERN.match(text)
    return MarkedFile(match[1], int(match[2]), text[match.end() :]) if match else None
