"""The cache: folders that are expensive to fill, shared by all clones of one user.

A folder gets its name only when it is complete, so it is enough to check that it exists. This module never changes or
deletes a complete folder. Delete the cache to free its space.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def root() -> Path:
    """Return the project's folder in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "private-registry"


def strip_from_path(search_path: str) -> str:
    """Return a PATH without folders of the cache, which `dev env` adds. The machine itself lacks their programs."""
    folders = search_path.split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if not Path(folder).is_relative_to(root()))


def ensure_folder(path: Path, fill: Callable[[Path], None], on_wait: Callable[[], None] = lambda: None) -> Path:
    """Return `path`. Create it first if it is missing: `fill` a temporary folder, then rename that.

    Call `on_wait` if another process is creating it.
    """
    if path.is_dir():
        return path
    with lock(path, on_wait):
        if not path.is_dir():
            for leftover in path.parent.glob(f".{path.name}.*.partial"):  # left by a killed process
                shutil.rmtree(leftover)
            partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
            try:
                fill(partial)
                partial.chmod(0o755)
                partial.rename(path)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return path


@contextmanager
def lock(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock of `path`. Call `on_wait` if another process holds it.

    The kernel releases it however this process ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
