"""The inotify instances of this machine's clusters. `up` raises the limit of Linux if too few are free.

All clusters share the limit, so the last one to stop restores it. A reboot restores it too.
"""

import ctypes
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.cluster.network import NAMESPACES
from dev.cluster.plan import PREFIX

INSTANCES = 32
"""Number of instances that a cluster opens, 25 of them at its start. With fewer, some daemons end."""

LIMIT_FILE = Path("/proc/sys/fs/inotify/max_user_instances")
"""File of the kernel with the number of instances that each user may open."""

ORIGINAL_FILE = Path("/run/private-registry-inotify")
"""File with the limit before the first cluster raised it."""


def count_free(most: int) -> int:
    """Return how many more instances this user may open, counted up to `most`."""
    results = [ctypes.CDLL(None).inotify_init() for _ in range(most)]
    descriptors = [descriptor for descriptor in results if descriptor >= 0]
    for descriptor in descriptors:
        os.close(descriptor)
    return len(descriptors)


def can_raise_limit() -> bool:
    """Return whether this user may raise the limit. Root in a container often may not."""
    return os.access(LIMIT_FILE, os.W_OK)


def has_enough_free() -> bool:
    """Return whether enough instances are free for a cluster."""
    return count_free(INSTANCES) == INSTANCES


def raise_limit_if_needed() -> None:
    """Raise the limit if too few instances are free for a cluster, and this user may raise it."""
    with _locked():
        if not has_enough_free() and can_raise_limit():
            limit = LIMIT_FILE.read_text()
            if not ORIGINAL_FILE.exists():
                ORIGINAL_FILE.write_text(limit)
            LIMIT_FILE.write_text(str(int(limit) + INSTANCES))


def restore_limit() -> None:
    """Restore the limit if no cluster runs on this machine."""
    with _locked():
        if ORIGINAL_FILE.exists() and not any(NAMESPACES.glob(f"{PREFIX}*")):
            LIMIT_FILE.write_text(ORIGINAL_FILE.read_text())
            ORIGINAL_FILE.unlink()


@contextmanager
def _locked() -> Iterator[None]:
    """Hold a lock that all clusters of this machine share."""
    with LIMIT_FILE.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
