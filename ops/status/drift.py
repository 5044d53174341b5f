"""Find drift: what `pulumi up --refresh` would change, according to a preview."""

import json
import re

from ..errors import CheckError, PulumiError
from ..stack import pulumi

TIMEOUT = 300
"""Seconds to wait for the preview. It reads every object from the cluster and runs the program."""

CONFLICT = re.compile(r"Apply failed with \d+ conflict.*")
"""Pattern of the API server's error for a field that another program owns (apimachinery, managedfields)."""

UNCHANGED = ("same", "read", "refresh")
"""Operations of a preview that make no change."""


def preview_changes(stack: str) -> dict[str, int]:
    """Return the number of resources that would change, by operation, such as create, update or replace."""
    try:
        preview = json.loads(pulumi("preview", "--refresh", "--json", "--stack", stack, timeout=TIMEOUT))
    except PulumiError as error:
        if conflict := CONFLICT.search(error.cause):
            remedy = f"Run `pulumi up --refresh --stack {stack}`, which takes the fields back from the other program."
            raise CheckError(conflict[0], remedy) from None
        raise CheckError(error.cause, f"Run `pulumi preview --refresh --stack {stack}` to see why.") from None
    return {kind: count for kind, count in sorted(preview["changeSummary"].items()) if kind not in UNCHANGED}
