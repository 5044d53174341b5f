"""Refuse a plan that deletes or replaces a volume, a claim, a namespace, a bucket or a storage location.

The engine asks no policy about resources that it deletes, so this check reads the plan:

    pulumi preview --json | python -m policy.changes

It exits with 0 if the plan keeps everything, with 1 if it does not, and with 2 if it cannot read the plan.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

KEPT = (
    "kubernetes:core/v1:Namespace",
    "kubernetes:core/v1:PersistentVolume",
    "kubernetes:core/v1:PersistentVolumeClaim",
    "pulumi:index:Stash",
)
"""Types that a plan must keep. A Stash has the first storage location, and the steps of rotations."""

BUCKET = re.compile(r":(?:S3)?Bucket(?:V2)?$")
"""Types of buckets, of any provider, which a plan must keep too."""

DELETIONS = {
    "delete": "delete",
    "delete-replaced": "replace",
    "replace": "replace",
    "create-replacement": "replace",
    "discard": "remove from the state",
    "discard-replaced": "remove from the state",
    "read-discard": "remove from the state",
    "read-replacement": "replace",
    "remove-pending-replace": "replace",
}
"""Operations of a plan that end the old resource, and the word in the message about them."""

LOCATION_SUFFIX = "-data-location"
"""End of the name of the Stash with the storage location."""

PINNED = (
    *("spec.hostPath", "spec.local", "spec.csi", "spec.nfs", "spec.nodeAffinity", "spec.claimRef"),
    *("spec.persistentVolumeReclaimPolicy", "spec.storageClassName", "spec.volumeName", "spec.selector"),
)
"""Properties of volumes and claims that no update may change."""

REMEDY = (
    "Restore the program. If the change is intended and a backup exists, repeat the command with `--allow` and the URN."
)

Step = Mapping[str, Any]


class PlanError(Exception):
    """The input is not the JSON of a preview that succeeded."""


def read_steps(file: TextIO) -> Sequence[Step]:
    """Return the steps of a plan. Raise `PlanError` if the preview failed, because its plan may be incomplete."""
    try:
        plan = json.load(file)
    except json.JSONDecodeError as error:
        raise PlanError(
            "The input is no JSON. Pipe the output of `pulumi preview --json` into this command."
        ) from error
    if not isinstance(plan, dict) or not isinstance(plan.get("steps", []), list):
        raise PlanError("The input has no `steps`. Pipe the output of `pulumi preview --json` into this command.")
    errors = [item["message"] for item in plan.get("diagnostics") or () if item.get("severity") == "error"]
    if errors:
        raise PlanError(f"The preview failed, so its plan may be incomplete. {errors[0].strip()}")
    if "steps" not in plan:
        raise PlanError("The plan has no steps, not even for the stack. Run the preview again and read its errors.")
    return list(plan["steps"])


def refusals(steps: Sequence[Step], allowed: Sequence[str] = ()) -> Iterator[str]:
    """Yield a sentence for each resource that the plan does not keep, without those whose URN is allowed."""
    seen: set[tuple[str, str]] = set()
    for step in steps:
        urn = step["urn"]
        if _is_kept(_type(urn)) and urn not in allowed:
            for problem in _problems(step):
                if (urn, problem) not in seen:
                    seen.add((urn, problem))
                    yield f"The plan would {problem} {urn}."


def _is_kept(kind: str) -> bool:
    return kind in KEPT or BUCKET.search(kind) is not None


def _type(urn: str) -> str:
    return urn.split("::")[2].rpartition("$")[2]


def _problems(step: Step) -> Iterator[str]:
    if word := DELETIONS.get(step["op"]):
        yield word
        return
    old, new = step.get("oldState") or {}, step.get("newState") or {}
    if old.get("protect") and new and not new.get("protect"):
        yield "remove the protection of"
    if step["urn"].endswith(LOCATION_SUFFIX):
        yield from _relocations(_location(old), _location(new))
    for path in step.get("detailedDiff") or {}:
        if any(path == pinned or path.startswith((f"{pinned}.", f"{pinned}[")) for pinned in PINNED):
            yield f"change `{path}` of"


def _location(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the storage location that the program asked for in this state."""
    location = (state.get("inputs") or {}).get("input")
    return location if isinstance(location, dict) else {}


def _relocations(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key in old:
        if key in new and old[key] != new[key]:
            yield f"change `{key}` from {old[key]} to {new[key]} in"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the refusals of the plan at standard input, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m policy.changes", description=__doc__.partition("\n")[0])
    parser.add_argument("--allow", metavar="URN", action="append", default=[], help="resource that may be lost")
    allowed = parser.parse_args(arguments).allow
    try:
        steps = read_steps(sys.stdin)
    except PlanError as error:
        print(error, file=sys.stderr)
        return 2
    problems = [*refusals(steps, allowed)]
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print(REMEDY, file=sys.stderr)
        return 1
    print(f"The plan keeps all volumes, claims, namespaces, buckets and storage locations ({len(steps)} steps).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
