"""The result of the last run of each task, for the exporter: private-registry/state/TASK.json in the storage."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import Any

from .layout import OWN
from .storage import Storage, StorageError, read

FOLDER = f"{OWN}/state"


@dataclass(frozen=True)
class Result:
    """The result of the last run that ended. A run that was killed leaves the result of the run before it.

    Attributes:
        ended: POSIX time of the end in seconds.
        succeeded: POSIX time of the end of the last run without an error, or 0. Damage is no error.
        failed: Whether the last run ended with an error.
        seconds: Duration of the last run.
        bytes_freed: Bytes that the last run has freed.
        damaged: Number of damaged files that the last run has found and not repaired.
    """

    ended: float
    succeeded: float = 0
    failed: bool = False
    seconds: float = 0
    bytes_freed: int = 0
    damaged: int = 0


def read_result(storage: Storage, task: str) -> Result | None:
    """Return the result of a task. Return None if no run has ended, or if the file is damaged."""
    with suppress(FileNotFoundError, ValueError, TypeError, KeyError):
        content: Mapping[str, Any] = json.loads(read(storage, f"{FOLDER}/{task}.json"))
        return Result(**{field.name: field.type(content[field.name]) for field in fields(Result)})  # type: ignore[operator]
    return None


def save_result(storage: Storage, summary: Mapping[str, Any], now: float) -> None:
    """Save the result of a run from the summary of its report. A storage that fails does not fail the job."""
    task, failed = str(summary["task"]), "error" in summary
    damaged = summary.get("damaged", 0) - summary.get("repaired", 0)
    with suppress(OSError, StorageError):
        before = (read_result(storage, task) if failed else None) or Result(now)
        result = Result(
            ended=now,
            succeeded=before.succeeded if failed else now,
            failed=failed,
            seconds=summary["seconds"],
            bytes_freed=summary.get("bytes_freed", 0),
            damaged=max(damaged, before.damaged),  # a run that failed has not seen everything
        )
        storage.write(f"{FOLDER}/{task}.json", json.dumps(asdict(result)).encode())
