"""Control groups: the kernel's own list of which process belongs to which host.

Whatever a host starts, however often it forks and whoever is killed in between, stays below the host's group: that is
how `down` ends everything it started and nothing else. Limits are the kubelet's affair, not set here.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

ROOT = Path("/sys/fs/cgroup")
STUBBORN = 10.0
"""Seconds after which a killed process is not dead but stuck in the kernel."""


def hierarchies(root: Path = ROOT) -> list[Path]:
    """One on cgroup v2; on v1 one a controller (the links cpu and cpuacct name the same folder once)."""
    if (root / "cgroup.controllers").exists():
        return [root]
    return sorted({folder.resolve() for folder in root.glob("*") if (folder / "cgroup.procs").exists()})


def tracking(group: PurePosixPath, root: Path = ROOT) -> Path:
    """The folder of `group` that a process may join without preparation: a fresh cpuset of v1 admits nobody."""
    found = hierarchies(root)
    return next((each for each in found if each.name == "pids"), found[0]) / group.relative_to("/")


def controllers(root: Path = ROOT) -> set[str]:
    """What cgroup v2 hands down to all groups of the machine; the kubelet adds what it needs."""
    enabled = root / "cgroup.subtree_control"
    return set(enabled.read_text().split()) if enabled.exists() else set()


def restore(before: set[str], root: Path = ROOT) -> None:
    """Take back what was added to the `controllers` of before, unless another group has come to use it."""
    for added in controllers(root) - before:
        with suppress(OSError):
            (root / "cgroup.subtree_control").write_text(f"-{added}")


def create(group: PurePosixPath, root: Path = ROOT) -> None:
    """Make `group` in every hierarchy: the kubelet refuses a root that one of them lacks."""
    for folder in _folders(group, root):
        folder.mkdir(exist_ok=True)
    (tracking(group, root) / "daemons").mkdir(exist_ok=True)


def members(group: PurePosixPath, root: Path = ROOT) -> set[int]:
    """The processes of `group` and of all groups below it."""
    found: set[int] = set()
    for folder in _folders(group, root):
        for below, _, _ in os.walk(folder):
            with suppress(OSError):  # the group went away with its last process
                found.update(map(int, Path(below, "cgroup.procs").read_text().split()))
    return found - {0}  # what a process outside this pid namespace looks like; to kill(2) it means oneself


def end(group: PurePosixPath, grace: float, root: Path = ROOT) -> None:
    """Ask the processes of `group` to stop, wait for them `grace` seconds, and kill the rest."""
    if grace:
        _signal(members(group, root), signal.SIGTERM)
        _is_empty_within(group, grace, root)
    while alive := members(group, root):  # again, for whoever was forked in the meantime
        _signal(alive, signal.SIGKILL)
        if not _is_empty_within(group, STUBBORN, root):
            raise TimeoutError(f"Processes of {group} cannot be killed: {sorted(members(group, root))}. Reboot.")


def remove(group: PurePosixPath, root: Path = ROOT) -> None:
    """Take the emptied `group` and all groups below it away."""
    for folder in _folders(group, root):
        for below, _, _ in os.walk(folder, topdown=False):
            with suppress(FileNotFoundError):  # runc, told to end, was quicker
                Path(below).rmdir()


def _is_empty_within(group: PurePosixPath, seconds: float, root: Path) -> bool:
    deadline = time.monotonic() + seconds
    while members(group, root):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _folders(group: PurePosixPath, root: Path) -> Iterator[Path]:
    for hierarchy in hierarchies(root):
        yield hierarchy / group.relative_to("/")


def _signal(processes: set[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)
