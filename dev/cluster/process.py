"""Start, stop and wait for the daemons of the hosts.

`start` returns at once if the daemon runs with the same configuration, so starting all daemons repairs a cluster. The
shell that starts a daemon writes its PID, so even a killed `up` leaves that record. A process with this PID is the
daemon only if it is in the control group of its host, because the kernel reuses PIDs.
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
from dev.cluster.host import command
from dev.cluster.plan import Host, Plan
from dev.errors import ClusterError

READY_TIMEOUT = 60.0
"""Seconds until a daemon must be ready. It takes a tenth of this time on two slow cores."""

LAUNCH_SCRIPT = """
echo $$ > "$1" || exit 1
record=$2 fingerprint=$3
shift 3
setsid "$@" &
echo $! "$fingerprint" > "$record"
"""


@dataclass(frozen=True)
class Daemon:
    """A program that runs on a host. `files` are its configuration files, by their paths on the host."""

    host: Host
    name: str
    argv: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)

    def fingerprint(self, environment: Mapping[str, str]) -> str:
        """Return a digest of the settings that take effect with a restart."""
        recipe = json.dumps([self.argv, dict(self.files), dict(environment)], sort_keys=True)
        return hashlib.sha256(recipe.encode()).hexdigest()[:16]


def start(plan: Plan, daemon: Daemon, environment: Mapping[str, str]) -> bool:
    """Start `daemon`. Return False if it already runs with the same configuration."""
    fingerprint = daemon.fingerprint(environment)
    if is_running(plan, daemon.host, daemon.name, fingerprint):
        return False
    stop(plan, daemon.host, daemon.name)
    for path, text in daemon.files.items():
        target = plan.path(daemon.host, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    log = plan.log(daemon.host, daemon.name)
    log.parent.mkdir(parents=True, exist_ok=True)
    procs = cgroup.find_tracking_folder(plan.cgroup(daemon.host)) / "daemons/cgroup.procs"
    record = plan.record(daemon.host, daemon.name)
    argv = command(plan, daemon.host, daemon.argv, environment, folder="/")
    with log.open("ab") as output:
        subprocess.run(
            ["sh", "-c", LAUNCH_SCRIPT, "sh", procs, record, fingerprint, *argv],
            env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True,
            start_new_session=True,  # Ctrl-C interrupts `up`, but not the daemons
        )  # fmt: skip
    return True


def is_running(plan: Plan, host: Host, name: str, fingerprint: str = "") -> bool:
    """Return whether the daemon `name` runs, with the configuration of `fingerprint` if that is not empty."""
    process, recorded = _find_process(plan, host, name)
    return process is not None and fingerprint in ("", recorded)


def stop(plan: Plan, host: Host, name: str, grace: float = 5.0) -> None:
    """Stop the daemon `name`: send SIGTERM, and SIGKILL after `grace` seconds. Without grace, kill it at once."""
    process, _ = _find_process(plan, host, name)
    if process is None:
        return
    with suppress(psutil.NoSuchProcess):
        process.terminate() if grace else process.kill()
        deadline = time.monotonic() + (grace or READY_TIMEOUT)
        # psutil's wait would also wait until init reaps the process, which may take seconds in a container.
        while is_running(plan, host, name):
            if time.monotonic() > deadline:
                process.kill()
            time.sleep(0.02)


def wait_until_ready(plan: Plan, daemon: Daemon, is_ready: Callable[[], bool]) -> None:
    """Wait until `daemon` is ready. Raise `ClusterError` if it ends or takes longer than `READY_TIMEOUT`."""
    deadline = time.monotonic() + READY_TIMEOUT
    remedy = f"Read its log {plan.log(daemon.host, daemon.name)}, then run the same command again."
    while not is_ready():
        if not is_running(plan, daemon.host, daemon.name):
            cause = f"The daemon {daemon.name} on {daemon.host.name} ended before it was ready."
            raise ClusterError(cause, remedy, details=_last_log_line(plan, daemon))
        if time.monotonic() > deadline:
            cause = f"The daemon {daemon.name} on {daemon.host.name} was not ready after {READY_TIMEOUT:.0f} seconds."
            raise ClusterError(cause, remedy, details=_last_log_line(plan, daemon))
        time.sleep(0.1)


def _find_process(plan: Plan, host: Host, name: str) -> tuple[psutil.Process | None, str]:
    """Return the running process of a daemon and its fingerprint, or None and ""."""
    try:
        pid, fingerprint = plan.record(host, name).read_text().split()
        process = psutil.Process(int(pid))
        groups = Path("/proc", pid, "cgroup").read_text().split()
        alive = process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None, ""
    in_group = any(line.endswith(f":{plan.cgroup(host)}/daemons") for line in groups)
    return (process, fingerprint) if alive and in_group else (None, "")


def _last_log_line(plan: Plan, daemon: Daemon) -> str:
    """Return the last line of the daemon's log, or "" if the log is empty."""
    with plan.log(daemon.host, daemon.name).open("rb") as log:
        log.seek(-min(2000, os.fstat(log.fileno()).st_size), os.SEEK_END)
        lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
