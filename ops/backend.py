"""What a killed engine leaves in a file backend: its lock, and a file that it was writing.

The engine writes a checkpoint in three steps: the text beside it, then a sidecar of attributes, then a rename over
the old text. Killed at the second step it leaves an empty sidecar, and every command fails with "failed to load
checkpoint: EOF" although the old text is whole. It knows less than the one that was lost, but each operation is noted
there before it begins. Other backends keep no such files and their locks out of sight: there the engine itself says
who holds a lock, and `pulumi cancel` is for a person to type.
"""

import json
import socket
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil
import yaml

from .stack import PROJECT, Refusal, pulumi


class Files(NamedTuple):
    """A stack's files: where its locks are, and all that the engine writes, its checkpoint first."""

    locks: Path
    written: list[Path]


def files_of(stack: str) -> Files | None:
    """The files of `stack`, or nothing when the backend is none of files."""
    url = urlsplit(json.loads(pulumi("whoami", "--verbose", "--json"))["url"])
    if url.scheme != "file":
        return None
    root = PROJECT / Path(url.netloc + url.path).expanduser() / ".pulumi"
    project, name = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["name"], stack.rpartition("/")[2]
    locks = root / "locks/organization" / project / name
    written = list((root / "stacks" / project).glob(f"{name}.json*"))
    for folder in (locks, root / "history" / project / name, root / "backups" / project / name):
        written += folder.glob("*")
    return Files(locks, written)


def dead_holder(stack: str, files: Files) -> str:
    """Who left a lock behind, "" without one; an engine that may be alive is not robbed of its own."""
    dead = ""
    for lock in files.locks.glob("*.json"):
        holder = json.loads(lock.read_text())
        who = f"{holder['username']}@{holder['hostname']}, process {holder['pid']}"
        if holder["hostname"] != socket.gethostname():
            raise Refusal(f"stack {stack!r} is locked by {who}: look there; if it is gone, `pulumi cancel`")
        if _is_alive(holder["pid"], holder["timestamp"]):
            raise Refusal(f"stack {stack!r} is being worked on by {who}: wait for it, or end it with Ctrl-C")
        dead = who
    return dead


def mend(files: Files) -> list[str]:
    """Remove what was not written to its end; the names of what was removed."""
    broken = [path for path in files.written if path.suffix == ".tmp" or (path.suffix == ".attrs" and _is_cut(path))]
    for path in broken:
        path.unlink()
    return [path.name for path in broken]


def _is_cut(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except json.JSONDecodeError:
        return True
    return False


def _is_alive(pid: int, taken: str) -> bool:
    """Whether the process is still the one that took the lock: a number is given again to later processes."""
    try:
        process = psutil.Process(pid)
        began = process.create_time()
        return process.status() != psutil.STATUS_ZOMBIE and began <= datetime.fromisoformat(taken).timestamp() + 1
    except psutil.NoSuchProcess:
        return False
