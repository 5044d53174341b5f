"""Save the error of a failing test, and the logs, events and objects of its lab, in a folder for each test.

Objects are written without the content of Secrets. A new run deletes the folders of earlier runs.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from dev.environment import STATE
from tests.e2e.lab import NAME, Lab

FAILURES = STATE / "failures"
TAIL_BYTES = 1 << 20
"""Bytes to keep from the end of each log."""

MAX_NAME_LENGTH = 120
"""Characters of the longest folder name. The ID of a test may be longer than a file system allows."""

KINDS = ("events", "nodes", "pods", "services", "pvc", "pv", "deployments", "daemonsets", "leases", "secrets")
"""Kinds of the saved objects."""


def delete_old() -> None:
    """Delete the folders of earlier runs."""
    shutil.rmtree(FAILURES, ignore_errors=True)


def save(nodeid: str, error: str, lab: Lab | None) -> Path:
    """Write the error, logs and objects of a failed test, and return the folder.

    If `lab` is None, no objects are written. If objects of a kind cannot be read, their file has the reason.
    """
    folder = FAILURES / re.sub(r"[^\w.-]+", "-", nodeid.removeprefix("tests/e2e/"))[:MAX_NAME_LENGTH].strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "error.txt").write_text(error)
    _save_logs(folder / "logs")
    if lab:
        _save_objects(lab, folder)
    return folder


def _save_logs(folder: Path) -> None:
    """Copy the end of the logs of all daemons and containers in this worker's lab."""
    state = STATE / NAME
    for source in [*state.glob("logs/**/*.log"), *state.glob("hosts/*/var/log/pods/**/*.log")]:
        target = folder / source.relative_to(state)
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as log:
            log.seek(max(0, source.stat().st_size - TAIL_BYTES))
            target.write_bytes(log.read())


def _save_objects(lab: Lab, folder: Path) -> None:
    for kind in KINDS:
        try:
            objects: Any = lab.api.objects(kind)
            if kind == "secrets":
                objects = [{**secret, "data": sorted(secret.get("data") or ())} for secret in objects]  # only the keys
        except (AssertionError, OSError, ValueError) as error:
            objects = f"not read: {error}"
        (folder / f"{kind}.json").write_text(json.dumps(objects, indent=1))
