"""Run a job: `python -m job collect`, `prune`, `scrub`, `backup` or `restore`.

Serve metrics until the process ends: `python -m job export`.

Exit codes: 0 success, 1 an error, 2 wrong arguments, 3 damage remains.
"""

import argparse
import ctypes
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import DAMAGE_REMAINS
from .backup import CopyOptions, run
from .collect import GRACE_SECONDS, PAUSE_SECONDS, CollectOptions, Collector
from .export import PORT, TIMEOUT_SECONDS, Exporter, ExportSettings, serve
from .report import Report
from .results import save_result
from .retention import parse_rules
from .s3 import S3Settings, S3Storage
from .scrub import Scrubber, ScrubOptions
from .storage import FolderStorage, Storage, StorageError

SETTINGS = Path("/etc/maintenance/settings.json")

TERMINATION_LOG = Path("/dev/termination-log")

LOWEST_PRIORITY = 19

IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
"""Number of the system call ioprio_set by machine (Linux, syscall tables). Python has no function for it."""

IOPRIO_WHO_PROCESS, IOPRIO_IDLE = 1, 3 << 13
"""Arguments of ioprio_set: a process, and the class of processes that use only an idle disk (ioprio_set(2))."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job of the command line. Return the exit code."""
    parser = argparse.ArgumentParser(prog="job")
    parser.add_argument("task", choices=["collect", "prune", "scrub", "backup", "restore", "export"])
    parser.add_argument("--settings", type=Path, default=SETTINGS)
    parser.add_argument("--termination-log", type=Path, default=TERMINATION_LOG)
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--all", action="store_true", help="scrub: hash every blob now")
    parser.add_argument("--overwrite", action="store_true", help="restore: change tags that have another digest")
    parser.add_argument("--grace", type=float, default=GRACE_SECONDS)
    parser.add_argument("--pause", type=float, default=PAUSE_SECONDS)
    parser.add_argument("--port", type=int, default=PORT, help="export: port of the metrics")
    options = parser.parse_args(arguments)
    settings: Mapping[str, Any] = json.loads(options.settings.read_text())
    if options.task == "export":
        serve(exporter(settings), options.port)
        return 0
    lower_priority()
    report = Report(options.task)
    termination_log = options.termination_log if options.termination_log.exists() else None
    try:
        is_sound = run_task(options, settings, report)
    except (OSError, StorageError) as error:
        text = f"{error.strerror}: {error.filename}." if isinstance(error, OSError) and error.strerror else str(error)
        report.say(f"failed: {text}")
        summary = report.finish(termination_log, error=text, dry_run=options.dry_run)
        keep_result(settings, summary)
        return 1
    keep_result(settings, report.finish(termination_log, dry_run=options.dry_run))
    return 0 if is_sound else DAMAGE_REMAINS


def keep_result(settings: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
    """Save the result of a run for the exporter. A dry run has no result."""
    if not summary["dry_run"]:
        with suppress(OSError):  # the CA of the object store cannot be read
            save_result(open_storage(settings["storage"]), summary, time.time())


def run_task(options: argparse.Namespace, settings: Mapping[str, Any], report: Report) -> bool:
    """Run a task. Return False if it has found damage that remains, else True."""
    storage = open_storage(settings["storage"])
    if options.task in ("backup", "restore"):
        place = settings["backup"]
        backup_storage = open_storage(place["storage"]) if place["storage"] else None
        copy_options = CopyOptions(options.dry_run, options.overwrite)
        return run(options.task, place, storage, backup_storage, copy_options, report)
    if options.task == "scrub":
        scrub = settings.get("scrub") or {}
        heal = scrub.get("heal", False) and not options.dry_run
        return Scrubber(storage, ScrubOptions(scrub.get("days", 30), heal, options.all), report).run()
    collect = CollectOptions(
        rules=parse_rules(settings.get("retention") or []),
        delete_untagged=settings.get("delete_untagged", False) and options.task == "collect",
        blobs=options.task == "collect",
        dry_run=options.dry_run,
        upload_hours=settings.get("upload_hours", 24),
        grace=options.grace,
        pause=options.pause,
    )
    Collector(storage, collect, report).run()
    return True


def open_storage(settings: Mapping[str, Any], **s3_options: Any) -> Storage:
    """Return the storage of the settings. The options are those of an object store."""
    if "s3" in settings:
        return S3Storage(S3Settings(**settings["s3"]), **s3_options)
    return FolderStorage(settings["folder"])


def exporter(settings: Mapping[str, Any]) -> Exporter:
    """Return the exporter of the settings. The storage is None if the exporter may not mount it."""
    place: Mapping[str, Any] = settings["storage"] or {}
    # The second attempt is for a connection that the server has closed since the last scrape.
    s3_options = {"sleep": lambda _: None, "attempts": 2, "timeout": TIMEOUT_SECONDS}
    storage = open_storage(place, **s3_options) if place else None
    return Exporter(ExportSettings(**settings["export"]), storage, place.get("folder", ""))


def lower_priority() -> None:
    """Let all other processes of the node use its processors and disks first, if the system allows this."""
    with suppress(OSError):
        os.nice(LOWEST_PRIORITY)
    number = IOPRIO_SET.get(platform.machine())
    if number is not None:
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).syscall(number, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE)


if __name__ == "__main__":
    sys.exit(main())
