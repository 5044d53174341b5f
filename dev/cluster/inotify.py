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

LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")

ORIGINAL = Path("/run/private-registry-inotify")
"""The limit before the first cluster raised it."""


def count_free(most: int) -> int:
    """Return how many more instances this user may open, counted up to `most`."""
    results = [ctypes.CDLL(None).inotify_init() for _ in range(most)]
    descriptors = [descriptor for descriptor in results if descriptor >= 0]
    for descriptor in descriptors:
        os.close(descriptor)
    return len(descriptors)


def can_raise() -> bool:
    """Return whether this user may raise the limit. Root in a container often may not."""
    return os.access(LIMIT, os.W_OK)


def are_free() -> bool:
    """Return whether enough instances are free for a cluster."""
    return count_free(INSTANCES) == INSTANCES


def reserve() -> None:
    """Raise the limit if too few instances are free for a cluster."""
    with _locked():
        if not are_free() and can_raise():
            limit = LIMIT.read_text()
            if not ORIGINAL.exists():
                ORIGINAL.write_text(limit)
            LIMIT.write_text(str(int(limit) + INSTANCES))


def restore() -> None:
    """Restore the limit if no cluster runs on this machine."""
    with _locked():
        if ORIGINAL.exists() and not any(NAMESPACES.glob(f"{PREFIX}*")):
            LIMIT.write_text(ORIGINAL.read_text())
            ORIGINAL.unlink()


@contextmanager
def _locked() -> Iterator[None]:
    """Hold a lock that all clusters of this machine share."""
    with LIMIT.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
