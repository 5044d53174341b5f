"""What every other user of a machine can see of a process while it runs, and what its own user can: seen many times."""

import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

PROC = Path("/proc")

PAUSE = 0.005
"""Seconds between two looks: no program of interest starts and ends in less, and other labs need the processor."""


def arguments(pid: str) -> bytes:
    return (PROC / pid / "cmdline").read_bytes()


def environment(pid: str) -> bytes:
    return (PROC / pid / "environ").read_bytes()


@dataclass
class Watch:
    """Reads command line and environment of every process that begins while it watches, again and again."""

    looks: int = 0
    argv: set[bytes] = field(default_factory=set)
    environ: set[bytes] = field(default_factory=set)
    """Variables, each as `NAME=value`."""
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Watch":
        self._thread = threading.Thread(target=self._look, args=(self._pids(),))
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def variables(self, *names: str) -> str:
        """Those of these names."""
        return _text(each for each in self.environ if each.startswith(tuple(f"{name}=".encode() for name in names)))

    def others(self, *names: str) -> str:
        """All variables but those."""
        return _text(each for each in self.environ if not each.startswith(tuple(f"{name}=".encode() for name in names)))

    def commands(self) -> str:
        return _text(self.argv)

    def _pids(self) -> set[str]:
        return {path.name for path in PROC.iterdir() if path.name.isdigit()}

    def _look(self, before: set[str]) -> None:
        known: dict[str, bytes] = {}
        while not self._over.is_set():
            for pid in self._pids() - before:
                with suppress(OSError):
                    argv = arguments(pid)
                    if known.get(pid) != argv:  # a new process, or one that became another program
                        known[pid] = argv
                        self.argv.add(argv.replace(b"\0", b" "))
                        self.environ.update(environment(pid).split(b"\0"))
            self.looks += 1
            self._over.wait(PAUSE)


def _text(parts: Iterable[bytes]) -> str:
    return "\n".join(sorted(part.decode(errors="replace") for part in parts))
