"""Run a registry with its proxy as processes on the loopback address. No cluster is needed."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

import psutil

from dev import packages
from dev.errors import CommandError
from dev.toolchain.build import build_program

START_TIMEOUT = 10
"""Seconds until a server must answer."""

STOP_TIMEOUT = 60
"""Seconds until a process must end after SIGTERM. An open request may delay the proxy by its drain of 20 seconds."""

CONFIGURATION, LOG = "config.yml", "log"
"""Name of the file with the registry's configuration, and of the file with the output of both processes."""


@contextmanager
def run_servers(
    folder: Path, watch_script: Path | None = None, variables: Mapping[str, str] | None = None
) -> Iterator[list[psutil.Process]]:
    """Run the registry until the block ends, and HAProxy if `watch_script` is set, which runs it.

    `folder` has the configurations of both, and `variables` are those of the script. Yield the process of the registry,
    then that of the script.
    """
    haproxy = packages.provide_haproxy()
    commands: list[list[str | Path]] = [[build_program("registry") / "registry", "serve", folder / CONFIGURATION]]
    if watch_script:
        commands.append(["sh", shutil.copy(watch_script, folder)])
    path = f"{haproxy.find('haproxy').parent}:{os.environ['PATH']}"
    environment = {**haproxy.env, "OTEL_TRACES_EXPORTER": "none", "PATH": path, **(variables or {})}
    running: list[subprocess.Popen[bytes]] = []
    with (folder / LOG).open("w") as log:
        try:
            for command in commands:
                running.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
            yield [psutil.Process(process.pid) for process in running]
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(STOP_TIMEOUT)


def wait_until(is_true: Callable[[], bool], log: Path) -> None:
    """Wait until a server of `run_servers` answers as expected. Raise `CommandError` after `START_TIMEOUT`.

    `is_true` may raise an error of the connection, which counts as no answer.
    """
    end = time.monotonic() + START_TIMEOUT
    while time.monotonic() < end:
        with suppress(OSError, HTTPException):
            if is_true():
                return
        time.sleep(0.02)
    raise CommandError(
        f"The registry or its proxy does not answer within {START_TIMEOUT} seconds.",
        "Read the log above.",
        details=log.read_text(),
    )


def processor_seconds(processes: Iterable[psutil.Process]) -> float:
    """Return the processor time that the processes and all their children have taken."""
    return _total(processes, lambda process: sum(process.cpu_times()[:4]))


def resident_memory(processes: Iterable[psutil.Process]) -> float:
    """Return the bytes of memory of the processes and their children. Shared pages count once for each process."""
    return _total(processes, lambda process: process.memory_info().rss)


def _total(processes: Iterable[psutil.Process], read: Callable[[psutil.Process], float]) -> float:
    total = 0.0
    for parent in processes:
        for process in (parent, *parent.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # the script starts programs that end quickly
                total += read(process)
    return total


def split_address(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])
