"""Folders that are expensive to make, made once for every clone on this machine.

A folder appears under its name only when it is whole, so its presence is all that has to be checked. Nothing
is ever changed in place and nothing is thrown away: whoever wants the space back deletes the cache.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def root() -> Path:
    """The project's corner of the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "private-registry"


def without(search: str) -> str:
    """PATH `search` without the cache's own folders: in a shell of `dev env` they are on it, and not the machine's."""
    return os.pathsep.join(each for each in search.split(os.pathsep) if not Path(each).is_relative_to(root()))


def folder(path: Path, fill: Callable[[Path], None], waiting: Callable[[], None] = lambda: None) -> Path:
    """`path`, made by `fill` beside it and renamed when whole; `waiting` is called if another is at it."""
    if path.is_dir():
        return path
    with _locked(path, waiting):
        if not path.is_dir():
            for left_by_a_kill in path.parent.glob(f".{path.name}.*.partial"):
                shutil.rmtree(left_by_a_kill)
            partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
            try:
                fill(partial)
                partial.chmod(0o755)
                partial.rename(path)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return path


@contextmanager
def _locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of `path`; the kernel lets go of it however this process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
