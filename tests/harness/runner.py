"""Run parts of the tests as parallel processes, measure their times, and interrupt them on Ctrl-C."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

import psutil

from tests.harness.parts import ROOT, Part
from tests.harness.progress import PART_VARIABLE
from tests.harness.report import ENVIRONMENT_VARIABLE, RunReport

Output = IO[bytes] | None
"""File for the output of a part, or None for the output of this process."""

WORKER = "exec(eval(sys.stdin.readline()))"
"""Argument of the processes that are workers of pytest-xdist."""


@dataclass(frozen=True)
class Result:
    """The result of a part. `cpu_seconds` includes its processes and the children that they waited for."""

    part: Part
    passed: bool
    seconds: float
    cpu_seconds: float
    report: RunReport | None = None


class Runner:
    """A runner of parts with the same pytest arguments. After an interrupt it does not start another part."""

    def __init__(self, pytest_arguments: Sequence[str] = ()) -> None:
        self.interrupted = False
        self._pytest_arguments = pytest_arguments
        self._processes: set[int] = set()
        self._lock = threading.RLock()

    def run_stage(self, parts: Sequence[Part]) -> list[Result]:
        """Run parts in parallel. The first part prints as it runs. The output of the other parts follows."""
        with ExitStack() as stack:
            outputs: list[Output] = [None, *(stack.enter_context(TemporaryFile()) for _ in parts[1:])]
            with ThreadPoolExecutor(len(parts)) as pool:
                results = list(pool.map(self._run, parts, outputs))
            for output in filter(None, outputs):
                output.seek(0)
                shutil.copyfileobj(output, sys.stdout.buffer)
            sys.stdout.flush()
        return results

    def interrupt(self) -> None:
        """Interrupt the running parts as Ctrl-C does. Do not wait, because this is called by a signal handler."""
        with self._lock:
            self.interrupted = True
            for process in list(self._processes):
                for pid in _workers(process) or [process]:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGINT)

    def _run(self, part: Part, output: Output) -> Result:
        start, cpu_seconds, passed = time.monotonic(), 0.0, True
        with TemporaryDirectory() as folder:
            path = Path(folder) / "report.json"
            environment = _environment() | {PART_VARIABLE: part.name, ENVIRONMENT_VARIABLE: str(path)}
            for line in part.command_lines(self._pytest_arguments):
                code, seconds = self._run_command(line, environment, output)
                cpu_seconds += seconds
                passed = code == 0
                if not passed:
                    break
            report = RunReport.read(path) if path.exists() else None
        return Result(part, passed, time.monotonic() - start, cpu_seconds, report)

    def _run_command(self, line: Sequence[str], environment: Mapping[str, str], output: Output) -> tuple[int, float]:
        """Run one command. Return its exit code and its CPU seconds."""
        with self._lock:
            if self.interrupted:
                return 128 + signal.SIGINT, 0.0
            target = output or sys.stdout.buffer
            target.write(f"$ {shlex.join([Path(line[0]).name, *line[1:]])}\n".encode())
            target.flush()
            # In a new session, so that Ctrl-C of a terminal reaches only this process, which forwards it once.
            process = subprocess.Popen(
                line,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output and subprocess.STDOUT,
                start_new_session=True,
            )
            self._processes.add(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        self._processes.discard(process.pid)
        process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode, usage.ru_utime + usage.ru_stime


def _environment() -> dict[str, str]:
    """Return the environment without variables that change or slow down the parts.

    The variables of make would change a make that a test runs. Without bytecode files, each worker compiles all tests.
    """
    ignored = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if name not in ignored}


def _workers(pid: int) -> list[int]:
    """Return the pytest-xdist workers of a process.

    They are interrupted instead of their controller, which would kill them after ten seconds, while their fixtures
    are torn down. The controller ends after its workers.
    """
    with suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(pid).children() if WORKER in " ".join(child.cmdline())]
    return []
