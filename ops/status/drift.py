"""Find drift: what `pulumi up --refresh` would change, according to a preview."""

import json
from typing import Any

from ..errors import CheckError, PulumiError
from ..stack import pulumi

TIMEOUT = 300
"""Seconds to wait for the preview, which reads every object from the cluster and runs the program."""

UNCHANGED = ("same", "read", "refresh")
"""Operations of a preview that make no change."""


def preview_changes(stack: str) -> dict[str, int]:
    """Return the number of resources to create, update, replace and so on, by operation."""
    try:
        preview = json.loads(pulumi("preview", "--refresh", "--json", "--stack", stack, timeout=TIMEOUT))
    except PulumiError as error:
        raise CheckError(error.cause, f"Run `pulumi preview --refresh --stack {stack}` to see why.") from None
    return count_changes(preview)


def count_changes(preview: dict[str, Any]) -> dict[str, int]:
    """Return the number of resources that the preview would change, by operation."""
    return {kind: count for kind, count in sorted(preview["changeSummary"].items()) if kind not in UNCHANGED}
