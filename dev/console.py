"""What a person sees while something takes long: one line per step with its time, a bar where that is known.

Everything goes to stderr, so that stdout stays free for what another program reads (`python -m dev env`).
Steps may be nested and may run in threads side by side. This module does not log, and it does not turn
exceptions into messages: the command line does that.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

SILENCE = 30.0
"""Seconds that a long step may stay silent where there is no terminal to draw a bar on."""

_console = Console(stderr=True, highlight=False)
_bars = Progress(
    TextColumn("  {task.description}", markup=False),
    BarColumn(),
    TextColumn("{task.fields[count]}"),
    TimeElapsedColumn(),
    TextColumn("{task.fields[detail]}", style="dim", markup=False),
    console=_console,
    transient=True,
)
_running = 0
_lock = Lock()


class Unmet(Exception):
    """A requirement is not met. The text is one line: what is missing, and what to do about it."""


class Step:
    """A running step: `total` may be set as soon as it is known, `advance` moves the bar towards it."""

    def __init__(self, title: str, total: int | None, task: TaskID) -> None:
        self.title = title
        self.done = 0
        self._total = total
        self._task = task
        self._spoke = time.monotonic()

    @property
    def total(self) -> int | None:
        return self._total

    @total.setter
    def total(self, total: int | None) -> None:
        self._total = total
        _bars.update(self._task, total=total, count=self._count())

    def advance(self, n: int = 1) -> None:
        """Count `n` more of `total` as done."""
        self.done += n
        _bars.update(self._task, completed=self.done, count=self._count())
        self._break_silence()

    def detail(self, text: str) -> None:
        """Show `text` behind the bar until the next detail; without a terminal it is not shown."""
        _bars.update(self._task, detail=text)
        self._break_silence()

    def note(self, text: str) -> None:
        """Print `text` on a line of its own, for a person to read later."""
        _print(Text(f"    {text}", style="dim"))

    def _count(self) -> str:
        return f"{self.done}/{self._total}" if self._total else ""

    def _break_silence(self) -> None:
        now = time.monotonic()
        if _console.is_terminal or now - self._spoke < SILENCE:
            return
        self._spoke = now
        _print(Text(f"  … {self.title} {self._count()}".rstrip()))


@contextmanager
def step(title: str, total: int | None = None) -> Iterator[Step]:
    """Time the block and print its line, `✓` or `✗`, when it ends. The title may be changed on the way."""
    task = _bars.add_task(title, total=total, detail="", count="")
    _show(+1)
    current = Step(title, total, task)
    try:
        with _outcome(lambda: current.title):
            yield current
    finally:
        _bars.remove_task(task)
        _show(-1)


@contextmanager
def stage(title: str) -> Iterator[None]:
    """A step whose program has the terminal to itself and shows its own progress: named before it, timed after it."""
    _print(Text(f"  … {title}"))
    with _outcome(lambda: title):
        yield


@contextmanager
def _outcome(title: Callable[[], str]) -> Iterator[None]:
    """Print the line of a step when the block ends, with the title that it has by then."""
    began, mark = time.monotonic(), Text("✗", style="red")
    try:
        yield
        mark = Text("✓", style="green")
    finally:
        seconds = f"{time.monotonic() - began:8.1f} s"
        _print(Text.assemble("  ", mark, f" {title():<60}", (seconds, "dim")))


def _show(change: int) -> None:
    """Keep the bars on the screen exactly as long as a step runs: rich allows one live display."""
    global _running
    with _lock:
        _running += change
        if not _console.is_terminal:
            return
        if _running == 0:
            _bars.stop()
        elif _running == 1 and change > 0:
            _bars.start()


def _print(text: Text) -> None:
    _console.print(text, soft_wrap=True)
