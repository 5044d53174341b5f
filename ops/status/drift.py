"""Find drift: what `pulumi up --refresh` would change, according to a preview."""

import json

from ..errors import CheckError, PulumiError
from ..stack import pulumi

TIMEOUT = 300
"""Seconds to wait for the preview. It reads every object from the cluster and runs the program."""

UNCHANGED = ("same", "read", "refresh")
"""Operations of a preview that make no change."""


def preview_changes(stack: str) -> dict[str, int]:
    """Return the number of resources that would change, by operation, such as create, update or replace."""
    try:
        preview = json.loads(pulumi("preview", "--refresh", "--json", "--stack", stack, timeout=TIMEOUT))
    except PulumiError as error:
        raise CheckError(error.cause, f"Run `pulumi preview --refresh --stack {stack}` to see why.") from None
    return {kind: count for kind, count in sorted(preview["changeSummary"].items()) if kind not in UNCHANGED}
