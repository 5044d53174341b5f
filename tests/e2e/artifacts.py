"""Save the error of a failing test, and the logs, events and objects of its lab, in one folder.

Objects are written without the content of Secrets. The folder is emptied when a run begins.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from dev.environment import STATE
from tests.e2e.lab import NAME, Lab

FAILURES = STATE / "failures"
TAIL = 1 << 20
"""Bytes to keep from the end of each log."""


def delete_old() -> None:
    """Delete the folders of earlier runs."""
    shutil.rmtree(FAILURES, ignore_errors=True)


def save(nodeid: str, error: str, lab: Lab | None) -> Path:
    """Write the error, logs and objects of a failed test, and return the folder.

    Without `lab`, no objects are written. If objects of a kind cannot be read, their file has the reason.
    """
    folder = FAILURES / re.sub(r"[^\w.-]+", "-", nodeid.removeprefix("tests/e2e/"))[:120].strip("-")
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
            log.seek(max(0, source.stat().st_size - TAIL))
            target.write_bytes(log.read())


def _save_objects(lab: Lab, folder: Path) -> None:
    for kind in ("events", "nodes", "pods", "services", "pvc", "pv", "deployments", "daemonsets", "leases", "secrets"):
        try:
            objects: Any = lab.api.objects(kind)
        except (AssertionError, OSError, ValueError) as error:
            objects = f"not read: {error}"
        for secret in objects if kind == "secrets" and isinstance(objects, list) else ():
            secret["data"] = sorted(secret.get("data") or ())
        (folder / f"{kind}.json").write_text(json.dumps(objects, indent=1))
