"""Control groups: the kernel's list of the daemons of each host, and of all processes that they start.

Such a process stays below the group of its host, even if it forks and its parent is killed. Therefore `down` ends all
of them, and no process of the machine. The kubelet sets limits, and this module sets none.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from dev.errors import ClusterError

ROOT = Path("/sys/fs/cgroup")
KILL_TIMEOUT = 10.0
"""Seconds after SIGKILL until a process counts as stuck in the kernel."""


def list_hierarchies(root: Path = ROOT) -> list[Path]:
    """Return the cgroup mount points: one on v2, one for each controller on v1 without its symbolic links."""
    if (root / "cgroup.controllers").exists():
        return [root]
    return sorted({folder.resolve() for folder in root.glob("*") if (folder / "cgroup.procs").exists()})


def find_tracking_folder(group: PurePosixPath, root: Path = ROOT) -> Path:
    """Return the folder of `group` that processes join.

    On v1 this folder is in the hierarchy of the controller pids, because a new group of cpuset accepts no process.
    """
    mounts = list_hierarchies(root)
    return next((mount for mount in mounts if mount.name == "pids"), mounts[0]) / group.relative_to("/")


def read_controllers(root: Path = ROOT) -> set[str]:
    """Return the controllers that are enabled below the root of cgroup v2, or none on v1. The kubelet enables more."""
    subtree_control = root / "cgroup.subtree_control"
    return set(subtree_control.read_text().split()) if subtree_control.exists() else set()


def restore_controllers(before: set[str], root: Path = ROOT) -> None:
    """Disable the controllers that were enabled since `before`."""
    for controller in read_controllers(root) - before:
        with suppress(OSError):  # another group uses it
            (root / "cgroup.subtree_control").write_text(f"-{controller}")


def create(group: PurePosixPath, root: Path = ROOT) -> None:
    """Create `group` in every hierarchy. The kubelet rejects a group that one of them lacks."""
    for folder in _folders(group, root):
        folder.mkdir(exist_ok=True)
    (find_tracking_folder(group, root) / "daemons").mkdir(exist_ok=True)


def read_members(group: PurePosixPath, root: Path = ROOT) -> set[int]:
    """Return the processes of `group` and of all groups below it."""
    processes: set[int] = set()
    for folder in _folders(group, root):
        for below, _, _ in os.walk(folder):
            with suppress(OSError):  # the group was removed after its last process
                processes.update(map(int, Path(below, "cgroup.procs").read_text().split()))
    # 0 is a process outside this PID namespace, but kill(2) would signal the caller's own process group.
    return processes - {0}


def terminate(group: PurePosixPath, grace: float, root: Path = ROOT) -> None:
    """Send SIGTERM to the processes of `group`, and SIGKILL after `grace` seconds. Without grace, kill at once.

    Raise `ClusterError` if a process does not end within `KILL_TIMEOUT`.
    """
    if grace:
        _signal(read_members(group, root), signal.SIGTERM)
        _wait_until_empty(group, grace, root)
    while alive := read_members(group, root):  # again, for processes that were forked meanwhile
        _signal(alive, signal.SIGKILL)
        if not _wait_until_empty(group, KILL_TIMEOUT, root):
            raise ClusterError(
                f"Processes of the control group {group} do not end after SIGKILL: {sorted(alive)}.",
                "Reboot this machine.",
            )


def remove(group: PurePosixPath, root: Path = ROOT) -> None:
    """Remove the empty `group` and all groups below it."""
    for folder in _folders(group, root):
        for below, _, _ in os.walk(folder, topdown=False):
            with suppress(FileNotFoundError):  # runc removed it first
                Path(below).rmdir()


def _wait_until_empty(group: PurePosixPath, seconds: float, root: Path) -> bool:
    """Wait until `group` has no process. Return False after `seconds`."""
    deadline = time.monotonic() + seconds
    while read_members(group, root):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _folders(group: PurePosixPath, root: Path) -> Iterator[Path]:
    for hierarchy in list_hierarchies(root):
        yield hierarchy / group.relative_to("/")


def _signal(processes: set[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)
