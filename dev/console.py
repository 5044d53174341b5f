"""Progress output: one line with its time for each step, and a bar while the step runs.

All output goes to stderr, because programs read stdout (`python -m dev env`). Steps may be nested and may run in
parallel threads. Exceptions are printed by the command line, not here.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

REPORT_INTERVAL = 30.0
"""Seconds between two lines of a long step if stderr is not a terminal."""

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


class Step:
    """A running step. `total` is the number of its units, or None if it is not known yet. `advance` moves the bar."""

    def __init__(self, title: str, total: int | None, task: TaskID) -> None:
        self.title = title
        self.done = 0
        self._total = total
        self._task = task
        self._printed_at = time.monotonic()

    @property
    def total(self) -> int | None:
        return self._total

    @total.setter
    def total(self, total: int | None) -> None:
        self._total = total
        _bars.update(self._task, total=total, count=self._count())

    def advance(self, n: int = 1) -> None:
        """Count `n` more units of `total` as done."""
        self.done += n
        _bars.update(self._task, completed=self.done, count=self._count())
        self._report_progress()

    def show_detail(self, text: str) -> None:
        """Show `text` after the bar until the next call. It is shown on a terminal only."""
        _bars.update(self._task, detail=text)
        self._report_progress()

    def note(self, text: str) -> None:
        """Print `text` on a line that stays."""
        _print(Text(f"    {text}", style="dim"))

    def _count(self) -> str:
        return f"{self.done}/{self._total}" if self._total else ""

    def _report_progress(self) -> None:
        """Print a progress line if there is no bar and the last line is old enough."""
        now = time.monotonic()
        if _console.is_terminal or now - self._printed_at < REPORT_INTERVAL:
            return
        self._printed_at = now
        _print(Text(f"  … {self.title} {self._count()}".rstrip()))


@contextmanager
def step(title: str, total: int | None = None) -> Iterator[Step]:
    """Time the block, and print `✓` or `✗` with its title when it ends. The block may change the title."""
    task = _bars.add_task(title, total=total, detail="", count="")
    _count_running(+1)
    current_step = Step(title, total, task)
    try:
        with _timed(lambda: current_step.title):
            yield current_step
    finally:
        _bars.remove_task(task)
        _count_running(-1)


@contextmanager
def stage(title: str) -> Iterator[None]:
    """Print the title before and after a program that prints its own progress to the terminal."""
    _print(Text(f"  … {title}"))
    with _timed(lambda: title):
        yield


@contextmanager
def _timed(title: Callable[[], str]) -> Iterator[None]:
    """Print the closing line of a step when the block ends, with the title at that time."""
    start, mark = time.monotonic(), Text("✗", style="red")
    try:
        yield
        mark = Text("✓", style="green")
    finally:
        seconds = f"{time.monotonic() - start:8.1f} s"
        _print(Text.assemble("  ", mark, f" {title():<60}", (seconds, "dim")))


def _count_running(change: int) -> None:
    """Show the bars while at least one step runs. rich allows one live display only."""
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
