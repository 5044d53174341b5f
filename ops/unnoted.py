"""What an engine made and did not note, because it was told to stop at that very moment.

On Ctrl-C the provider gives its request up and the engine takes the creation for failed, though the API server may
carry it out. No state and no pending operation knows of the object, and the next `up` finds its name taken. But the
program knows what it wants, so what `pulumi preview` would create is looked for. Only an object that was created while
an update of this very stack failed counts: what another stack made stays its own.
"""

import json
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from .stack import Refusal, pulumi
from .state import Resource

SLACK = timedelta(seconds=2)
"""An object's time of creation has whole seconds, and the cluster's clock is not this machine's."""

ENTRIES = "10"
"""How far back to look for an update that succeeded: what failed longer ago was seen by a person since."""

UNTOLD = ("[secret]", "04da6b54-80e4-46f7-96ec-b56ff0331ba9")
"""What a preview shows in place of a secret, and of what only the update will tell (Pulumi's UnknownStringValue)."""


class Span(NamedTuple):
    """The time of one update."""

    start: datetime
    end: datetime

    def holds(self, moment: datetime) -> bool:
        """Whether something that happened at `moment` may have happened in it."""
        return self.start - SLACK <= moment <= self.end + SLACK


def failed_updates(stack: str) -> list[Span]:
    """When updates of `stack` failed since one succeeded, the newest first."""
    spans = []
    for entry in json.loads(pulumi("stack", "history", "--json", "--page-size", ENTRIES, "--stack", stack)):
        if entry["kind"] in ("update", "destroy") and entry["result"] == "succeeded":
            break
        if "endTime" not in entry:  # one that still runs
            continue
        spans.append(Span(datetime.fromisoformat(entry["startTime"]), datetime.fromisoformat(entry["endTime"])))
    return spans


def wanted(stack: str) -> list[Resource]:
    """What the program would create, in its order; nothing if it cannot be asked, of which `pulumi up` tells more."""
    try:
        shown = json.loads(pulumi("preview", "--json", "--stack", stack))
    except Refusal:
        return []
    return [_told(step["newState"]) for step in shown["steps"] if step["op"] == "create"]


def _told(value: Any) -> Any:
    """`value` without what the preview does not tell: the refresh that follows reads it from the object."""
    if isinstance(value, dict):
        return {key: _told(each) for key, each in value.items() if each not in UNTOLD}
    if isinstance(value, list):
        return [_told(each) for each in value if each not in UNTOLD]
    return value
