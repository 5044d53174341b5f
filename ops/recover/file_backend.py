"""Find the lock of a killed Pulumi engine in a file backend, and remove the incomplete files that it left there.

The engine writes a checkpoint in three steps: a new file, then a file of attributes, then a rename over the old
checkpoint. If it is killed at the second step, it leaves an empty file of attributes. Every command then fails with
"failed to load checkpoint: EOF", although the old checkpoint is complete. The old checkpoint lacks the last change, but
it has each operation that began.

Other backends do not expose their files. With such a backend Pulumi itself names the owner of a lock, and the user runs
`pulumi cancel`.
"""

import json
import socket
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil
import yaml

from ..errors import CommandError
from ..stack import PROJECT, pulumi


class StackFiles(NamedTuple):
    """The files of one stack: the folder of its locks, and every file that the engine wrote for it."""

    locks: Path
    paths: list[Path]


def find_stack_files(stack: str) -> StackFiles | None:
    """Return the files of `stack`, or None if its backend is not a file backend."""
    url = urlsplit(json.loads(pulumi("whoami", "--verbose", "--json"))["url"])
    if url.scheme != "file":
        return None
    root = PROJECT / Path(url.netloc + url.path).expanduser() / ".pulumi"
    project, name = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["name"], stack.rpartition("/")[2]
    locks = root / "locks/organization" / project / name
    paths = list((root / "stacks" / project).glob(f"{name}.json*"))
    for folder in (locks, root / "history" / project / name, root / "backups" / project / name):
        paths += folder.glob("*")
    return StackFiles(locks, paths)


def find_stale_lock(stack: str, files: StackFiles) -> str:
    """Return the owner of a stale lock, or "". Raise if the owning process may still run."""
    stale_owner = ""
    for lock in files.locks.glob("*.json"):
        entry = json.loads(lock.read_text())
        owner = f"{entry['username']}@{entry['hostname']}, process {entry['pid']}"
        if entry["hostname"] != socket.gethostname():
            raise CommandError(
                f"The stack {stack!r} is locked by {owner}.",
                "Check on that machine whether the process still runs. If it has ended, run `pulumi cancel`.",
            )
        if _is_running(entry["pid"], entry["timestamp"]):
            raise CommandError(
                f"The stack {stack!r} is being updated by {owner}.", "Wait for it to finish, or end it with Ctrl-C."
            )
        stale_owner = owner
    return stale_owner


def remove_incomplete_files(files: StackFiles) -> list[str]:
    """Remove files that the engine did not finish. Return their names."""
    incomplete = [
        path for path in files.paths if path.suffix == ".tmp" or (path.suffix == ".attrs" and not _is_json(path))
    ]
    for path in incomplete:
        path.unlink()
    return [path.name for path in incomplete]


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except json.JSONDecodeError:
        return False
    return True


def _is_running(pid: int, locked_at: str) -> bool:
    """Return whether the process that took the lock still runs. A process that started later only has the same PID."""
    try:
        process = psutil.Process(pid)
        started = process.create_time()
        return process.status() != psutil.STATUS_ZOMBIE and started <= datetime.fromisoformat(locked_at).timestamp() + 1
    except psutil.NoSuchProcess:
        return False
