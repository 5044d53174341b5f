"""What a killed engine leaves on this machine: its lock in a file backend, and plugin processes that nobody talks to.

A lock is only ever taken from an engine that is gone from this machine. Other backends than files keep their locks
out of sight: there the engine itself says who holds one, and `pulumi cancel` is for a person to type.
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import yaml

from .stack import PROJECT, Refusal, pulumi

PLUGINS = ("pulumi-resource-", "pulumi-language-")

SAME_ENGINE = ("PULUMI_BACKEND_URL", "PULUMI_HOME")
"""Variables that tell one installation's plugins from another's."""

GRACE = 2.0
"""Seconds that a plugin has to end by itself."""


def release_lock(stack: str) -> str:
    """Cancel the run of an engine that is gone and say whose it was; refuse while it is at work; "" without a lock."""
    holders = [json.loads(lock.read_text()) for lock in _locks(stack)]
    for holder in holders:
        who = f"{holder['username']}@{holder['hostname']}, process {holder['pid']}"
        if holder["hostname"] != socket.gethostname():
            raise Refusal(f"stack {stack!r} is locked by {who}: see there; if it is gone, `pulumi cancel`")
        if _is_alive(holder):
            raise Refusal(f"stack {stack!r} is being worked on by {who}: wait for it, or end it with Ctrl-C")
    if not holders:
        return ""
    pulumi("cancel", "--yes", "--stack", stack)
    return f"process {holders[0]['pid']}"


def end_leftovers() -> list[str]:
    """End the plugins whose engine is gone, with what they started; the names of those ended."""
    plugins = list(_orphans())
    everything = plugins + [child for plugin in plugins for child in _children(plugin)]
    names = [f"{plugin.name()} ({plugin.pid})" for plugin in plugins]
    for process in everything:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(everything, timeout=GRACE)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return names


def _locks(stack: str) -> list[Path]:
    url = urlsplit(json.loads(pulumi("whoami", "--verbose", "--json"))["url"])
    if url.scheme != "file":
        return []
    backend = PROJECT / Path(url.netloc + url.path).expanduser()
    project = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["name"]
    return sorted((backend / ".pulumi/locks/organization" / project / stack.rpartition("/")[2]).glob("*.json"))


def _is_alive(holder: dict[str, str | int]) -> bool:
    """Whether the process is still the one that took the lock: a number is given again to later processes."""
    try:
        process = psutil.Process(int(holder["pid"]))
        taken = datetime.fromisoformat(str(holder["timestamp"])).timestamp()
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= taken + 1
    except psutil.NoSuchProcess:
        return False


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
