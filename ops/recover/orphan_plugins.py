"""End the plugin processes that a killed Pulumi engine leaves on this machine.

Only orphans of this user, backend and installation are ended. Plugins of a running engine are left alone.
"""

import os
from collections.abc import Iterator
from contextlib import suppress

import psutil

PLUGIN_PREFIXES = ("pulumi-resource-", "pulumi-language-")

INSTALLATION_VARIABLES = ("PULUMI_BACKEND_URL", "PULUMI_HOME")
"""Environment variables that distinguish the plugins of two backends or installations."""

GRACE_PERIOD = 2.0
"""Seconds between SIGTERM and SIGKILL."""


def end_orphan_plugins() -> list[str]:
    """End plugins whose engine has ended, and their child processes. Return the plugins' names."""
    plugins = list(_find_orphans())
    names = [f"{plugin.name()} ({plugin.pid})" for plugin in plugins]
    processes = plugins + [child for plugin in plugins for child in _find_children(plugin)]
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(processes, timeout=GRACE_PERIOD)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return names


def _find_orphans() -> Iterator[psutil.Process]:
    """Yield the plugins of this user, backend and installation whose engine has ended."""
    installation = [os.environ.get(name) for name in INSTALLATION_VARIABLES]
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if (
                process.name().startswith(PLUGIN_PREFIXES)
                and process.uids().real == os.getuid()
                and _is_orphan(process)
                and [process.environ().get(name) for name in INSTALLATION_VARIABLES] == installation
            ):
                yield process


def _is_orphan(process: psutil.Process) -> bool:
    """Return whether the engine of a plugin has ended, so that init or a user's systemd became its parent.

    An engine is in the same session as its plugins. Init and systemd are in another session.
    """
    parent = process.parent()
    return parent is None or parent.pid == 1 or os.getsid(parent.pid) != os.getsid(process.pid)


def _find_children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
