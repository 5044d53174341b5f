"""The plugin processes that a killed engine leaves on this machine, with nobody to talk to.

Only orphans of this user, of this backend and of this installation are ended: other stacks' engines keep theirs.
"""

import os
from collections.abc import Iterator
from contextlib import suppress

import psutil

PLUGINS = ("pulumi-resource-", "pulumi-language-")

SAME_ENGINE = ("PULUMI_BACKEND_URL", "PULUMI_HOME")
"""Variables that tell one installation's plugins from another's."""

GRACE = 2.0
"""Seconds that a plugin has to end by itself."""


def end_leftovers() -> list[str]:
    """End the plugins whose engine is gone, with what they started; the names of those ended."""
    plugins = list(_orphans())
    names = [f"{plugin.name()} ({plugin.pid})" for plugin in plugins]
    everything = plugins + [child for plugin in plugins for child in _children(plugin)]
    for process in everything:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(everything, timeout=GRACE)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return names


def _orphans() -> Iterator[psutil.Process]:
    ours = [os.environ.get(name) for name in SAME_ENGINE]
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if (
                process.name().startswith(PLUGINS)
                and process.uids().real == os.getuid()
                and _is_reparented(process)
                and [process.environ().get(name) for name in SAME_ENGINE] == ours
            ):
                yield process


def _is_reparented(process: psutil.Process) -> bool:
    """Engines share a session with their plugins; who takes in an orphan, init or a user's systemd, does not."""
    parent = process.parent()
    return parent is None or parent.pid == 1 or os.getsid(parent.pid) != os.getsid(process.pid)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
