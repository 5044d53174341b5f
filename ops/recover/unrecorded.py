"""Find objects that an interrupted Pulumi may have created without recording them.

On Ctrl-C the provider gives up its request and Pulumi considers the creation failed, although the API server may
complete it. Neither the state nor a pending operation has the object, and the next `pulumi up` fails because its name
already exists. `ops recover` therefore looks for the objects that `pulumi preview` would create. An object counts only
if it was created during a failed update of this stack. Any other object may belong to another stack.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from ..errors import PulumiError
from ..stack import pulumi
from .state import Resource

CLOCK_TOLERANCE = timedelta(seconds=2)
"""Tolerance for clock differences and for creation times, which are whole seconds."""

LONGEST_REQUEST = timedelta(minutes=1)
"""Longest time between the start of a request and the end of its engine. The provider retries only for seconds."""

HISTORY_ENTRIES = "10"
"""Number of history entries to search for failed updates. Later runs have reported older failures."""

PLACEHOLDERS = ("[secret]", "04da6b54-80e4-46f7-96ec-b56ff0331ba9")
"""Placeholders of a preview, for a secret and for a value that is still unknown (Pulumi's UnknownStringValue)."""


class Period(NamedTuple):
    """The time from start to end of one update."""

    start: datetime
    end: datetime

    def includes(self, moment: datetime) -> bool:
        """Return whether `moment` is within the period, with some tolerance."""
        return self.start - CLOCK_TOLERANCE <= moment <= self.end + CLOCK_TOLERANCE


def read_failed_periods(stack: str) -> list[Period]:
    """Return the periods of the failed updates since the last successful one, the newest first."""
    periods = []
    for entry in json.loads(pulumi("stack", "history", "--json", "--page-size", HISTORY_ENTRIES, "--stack", stack)):
        if entry["kind"] in ("update", "destroy") and entry["result"] == "succeeded":
            break
        if entry["result"] == "succeeded" or "endTime" not in entry:  # a refresh, or an update that still runs
            continue
        periods.append(Period(datetime.fromisoformat(entry["startTime"]), datetime.fromisoformat(entry["endTime"])))
    return periods


def interrupted_period(deployment: Mapping[str, Any]) -> Period:
    """Return the period when a plugin may have completed the pending operations. It ends now.

    The history does not contain a killed update, so the time of the state counts. The engine writes the state when an
    operation begins or ends, and a plugin may complete its request after that.
    """
    written_at = datetime.fromisoformat(deployment["manifest"]["time"])
    return Period(written_at - LONGEST_REQUEST, datetime.now(UTC))


def preview_creations(stack: str) -> list[Resource]:
    """Return the resources that the program would create, in its order. Empty if the preview fails.

    The next `pulumi up` reports why the preview fails.
    """
    try:
        preview = json.loads(pulumi("preview", "--json", "--stack", stack))
    except PulumiError:
        return []
    return [_without_placeholders(step["newState"]) for step in preview["steps"] if step["op"] == "create"]


def _without_placeholders(value: Any) -> Any:
    """Return `value` without the placeholders of a preview. `pulumi up --refresh` reads the values from the object."""
    if isinstance(value, dict):
        return {key: _without_placeholders(item) for key, item in value.items() if item not in PLACEHOLDERS}
    if isinstance(value, list):
        return [_without_placeholders(item) for item in value if item not in PLACEHOLDERS]
    return value
