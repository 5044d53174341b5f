"""Whether cluster and config are as the last `pulumi up` left them: what the next one would do, which is asked only."""

import json
from typing import Any

from .causes import Fault
from .stack import Refusal, pulumi

TIMEOUT = 300
"""Seconds: every object is read from the cluster, and the program runs."""

STAYS = ("same", "read", "refresh")


def changes(stack: str) -> dict[str, int]:
    """How many resources a `pulumi up --refresh` would create, update, replace and so on; empty for none."""
    try:
        shown = json.loads(pulumi("preview", "--refresh", "--json", "--stack", stack, timeout=TIMEOUT))
    except Refusal as refusal:
        raise Fault(str(refusal).partition(": see ")[0], f"see `pulumi preview --refresh --stack {stack}`") from None
    return counted(shown)


def counted(shown: dict[str, Any]) -> dict[str, int]:
    """From the engine's summary, what is not left as it is."""
    return {kind: count for kind, count in sorted(shown["changeSummary"].items()) if kind not in STAYS}
