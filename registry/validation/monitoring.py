"""Rules for monitoring."""

import re

from .basics import text
from .errors import InvalidInput, quoted

SHORTEST_SECONDS, LONGEST_SECONDS = 5, 120
"""Seconds of the shortest and the longest interval. The alerts look at the last five minutes."""


def monitor_interval(value: str) -> str:
    """Require the time between two scrapes, in seconds or minutes."""
    written = text("monitor_interval", value, "30s")
    match = re.fullmatch(r"([1-9][0-9]{0,2})([sm])", written, re.ASCII)
    if match is None:
        problem = f"must be seconds or minutes, not {quoted(written)}"
        raise InvalidInput("monitor_interval", "not-a-duration", problem, "For example '30s' or '1m'")
    seconds = int(match[1]) * (60 if match[2] == "m" else 1)
    if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        problem = f"must be from 5s to 2m, not {quoted(written)}"
        raise InvalidInput("monitor_interval", "out-of-range", problem, "For example '30s' or '1m'")
    return written
