"""Record the command lines and environments of the processes that start within a block."""

import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

PROC = Path("/proc")

PAUSE = 0.005
"""Seconds between two scans. Every program of interest runs longer. Without a pause, other labs would be slow."""


def command_line(pid: str) -> bytes:
    return (PROC / pid / "cmdline").read_bytes()


def environ_of(pid: str) -> bytes:
    return (PROC / pid / "environ").read_bytes()


@dataclass
class ProcessWatch:
    """Scan the command lines and environments of all processes that start within the block.

    They are separate, because every user of a machine can read command lines, and only the same user and root can read
    environments.
    """

    scans: int = 0
    """Number of completed scans."""
    argv: set[bytes] = field(default_factory=set)
    """Command lines, with a space after each argument."""
    environ: set[bytes] = field(default_factory=set)
    """Variables as `NAME=value`."""
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "ProcessWatch":
        self._thread = threading.Thread(target=self._scan, args=(self._pids(),))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def variables(self, *names: str) -> str:
        """Return the recorded variables with these names, as lines `NAME=value`."""
        return _text(each for each in self.environ if each.startswith(tuple(f"{name}=".encode() for name in names)))

    def variables_except(self, *names: str) -> str:
        """Return the recorded variables with other names, as lines `NAME=value`."""
        return _text(each for each in self.environ if not each.startswith(tuple(f"{name}=".encode() for name in names)))

    def command_lines(self) -> str:
        """Return the recorded command lines, one in each line."""
        return _text(self.argv)

    def _pids(self) -> set[str]:
        return {path.name for path in PROC.iterdir() if path.name.isdigit()}

    def _scan(self, earlier_pids: set[str]) -> None:
        last_argv: dict[str, bytes] = {}
        while not self._stop.is_set():
            for pid in self._pids() - earlier_pids:
                with suppress(OSError):  # the process has ended
                    argv = command_line(pid)
                    if last_argv.get(pid) != argv:  # a new process, or one that executed another program
                        last_argv[pid] = argv
                        self.argv.add(argv.replace(b"\0", b" "))
                        self.environ.update(environ_of(pid).split(b"\0"))
            self.scans += 1
            self._stop.wait(PAUSE)


def _text(parts: Iterable[bytes]) -> str:
    return "\n".join(sorted(part.decode(errors="replace") for part in parts))
