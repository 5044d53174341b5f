"""Daemons: what one is, whether it runs, starting it, ending it.

A daemon that runs as it should is left alone, so starting all of them again is how a cluster is healed. Its record is
written by the shell that starts it, so a killed `up` cannot leave one without, and a process counts as the recorded
one only in the daemon's own control group, so a reused pid cannot pass for it.
"""

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from dev.cluster import cgroup
from dev.cluster.host import Failed, command
from dev.cluster.plan import Host, Plan

PATIENCE = 60.0
"""Seconds that one thing may take to become ready: ten times what it takes on two slow cores."""

LAUNCH = """
echo $$ > "$1" || exit 1
record=$2 fingerprint=$3
shift 3
setsid "$@" &
echo $! "$fingerprint" > "$record"
"""


@dataclass(frozen=True)
class Daemon:
    """A program that has to run on a host; `files` are the configuration it reads, by their paths there."""

    host: Host
    name: str
    argv: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)

    def fingerprint(self, environment: Mapping[str, str]) -> str:
        """Changes with whatever a restart would bring into effect."""
        recipe = json.dumps([self.argv, dict(self.files), dict(environment)], sort_keys=True)
        return hashlib.sha256(recipe.encode()).hexdigest()[:16]


def start(plan: Plan, daemon: Daemon, environment: Mapping[str, str]) -> bool:
    """Have `daemon` run; False if it already did, with this very configuration."""
    fingerprint = daemon.fingerprint(environment)
    if running(plan, daemon.host, daemon.name, fingerprint):
        return False
    stop(plan, daemon.host, daemon.name)
    for path, text in daemon.files.items():
        target = plan.path(daemon.host, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    log = plan.log(daemon.host, daemon.name)
    log.parent.mkdir(parents=True, exist_ok=True)
    procs = cgroup.tracking(plan.cgroup(daemon.host)) / "daemons/cgroup.procs"
    record = plan.record(daemon.host, daemon.name)
    argv = command(plan, daemon.host, daemon.argv, environment, folder="/")
    with log.open("ab") as output:
        subprocess.run(
            ["sh", "-c", LAUNCH, "sh", procs, record, fingerprint, *argv],
            env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True,
            start_new_session=True,  # a Ctrl-C is for `up`, not for what it starts
        )  # fmt: skip
    return True


def running(plan: Plan, host: Host, name: str, fingerprint: str = "") -> bool:
    """Whether the recorded process is alive, and is what `fingerprint` describes if one is given."""
    process, recorded = _recorded(plan, host, name)
    return process is not None and fingerprint in ("", recorded)


def stop(plan: Plan, host: Host, name: str, grace: float = 5.0) -> None:
    """End the recorded process: politely if there is `grace`, then not."""
    process, _ = _recorded(plan, host, name)
    if process is None:
        return
    with suppress(psutil.NoSuchProcess):
        process.terminate() if grace else process.kill()
        deadline = time.monotonic() + (grace or PATIENCE)
        # Not psutil's wait: it waits for init to bury the dead as well, which in a container may take seconds.
        while running(plan, host, name):
            if time.monotonic() > deadline:
                process.kill()
            time.sleep(0.02)


def wait(plan: Plan, daemon: Daemon, ready: Callable[[], bool]) -> None:
    """Wait until `daemon` is `ready`, and not a moment longer than it lives."""
    deadline = time.monotonic() + PATIENCE
    while not ready():
        if not running(plan, daemon.host, daemon.name):
            raise Failed(_explained(plan, daemon, "ended before it was ready"))
        if time.monotonic() > deadline:
            raise Failed(_explained(plan, daemon, f"was not ready after {PATIENCE:.0f} s"))
        time.sleep(0.1)


def _recorded(plan: Plan, host: Host, name: str) -> tuple[psutil.Process | None, str]:
    try:
        pid, fingerprint = plan.record(host, name).read_text().split()
        process = psutil.Process(int(pid))
        groups = Path("/proc", pid, "cgroup").read_text().split()
        alive = process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None, ""
    ours = any(line.endswith(f":{plan.cgroup(host)}/daemons") for line in groups)
    return (process, fingerprint) if alive and ours else (None, "")


def _explained(plan: Plan, daemon: Daemon, what: str) -> str:
    log = plan.log(daemon.host, daemon.name)
    with log.open("rb") as content:
        content.seek(-min(2000, os.fstat(content.fileno()).st_size), os.SEEK_END)
        said = content.read().decode(errors="replace").strip().splitlines() or ["nothing"]
    return f"{daemon.name} on {daemon.host.name} {what}. The last it said: {said[-1]}\nAll of it: {log}"
