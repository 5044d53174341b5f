"""The interface of the storage for the jobs, and the storage in a folder."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK_BYTES = 1 << 20
"""Bytes that are read at a time."""

PROBE = "private-registry/clock"
"""File that the jobs write to learn the time of the storage."""

RESERVE = "private-registry/reserve"
"""Folder of files that are deleted if the disk is full, so that a collection has place for its own files."""

RESERVED_FILES, RESERVED_BYTES = 8, 64 << 10
"""Number of files of the reserve, and bytes of one file."""


class StorageError(Exception):
    """Failure of a storage. The message has one or two sentences for people."""


class Entry(NamedTuple):
    """A file: its path below the root, its size in bytes, and the POSIX time of its last change in seconds."""

    path: str
    size: int
    modified: float


class Storage(Protocol):
    """A storage. Paths are relative to its root. A missing file is a `FileNotFoundError`.

    `parallel` is the number of requests that are worth sending at once. `keeps_times` says whether a moved file keeps
    its time, and `has_disk` whether the storage is a disk, which may be full.
    """

    parallel: int
    keeps_times: bool
    has_disk: bool

    def entries(self, folder: str) -> Iterator[Entry]:
        """Yield all files below a folder, in any order."""

    def entry(self, path: str) -> Entry | None:
        """Return a file, or None if it does not exist."""

    def chunks(self, path: str) -> Iterator[bytes]:
        """Yield the content of a file."""

    def write(self, path: str, content: bytes) -> None:
        """Create or replace a file."""

    def move(self, path: str, target: str) -> None:
        """Move a file. Replace the target if it exists."""

    def restore(self, path: str, target: str) -> None:
        """Move a file back. If the target exists again, delete the file instead."""

    def delete(self, path: str) -> None:
        """Delete a file if it exists."""

    def remove_folder(self, folder: str) -> None:
        """Remove a folder, and those in it, if they contain no files."""

    def abort_uploads(self, before: float) -> int:
        """Abort the unfinished uploads of the storage itself that started before a time. Return their number."""


def read(storage: Storage, path: str) -> bytes:
    """Return the content of a file."""
    return b"".join(storage.chunks(path))


def use_reserve(storage: Storage) -> None:
    """Delete the files of the reserve."""
    for number in range(RESERVED_FILES):
        storage.delete(f"{RESERVE}/{number}")


def keep_reserve(storage: Storage) -> None:
    """Create the missing files of the reserve. An object store needs none. Raise OSError if the disk is full."""
    if storage.has_disk:
        for number in range(RESERVED_FILES):
            if storage.entry(f"{RESERVE}/{number}") is None:
                storage.write(f"{RESERVE}/{number}", bytes(RESERVED_BYTES))


def storage_time(storage: Storage) -> float:
    """Return the time by the clock that sets the times of files. The clock of the job may differ."""
    storage.write(PROBE, b"")
    probe = storage.entry(PROBE)
    if probe is None:
        raise StorageError(f"The file {PROBE} was written and does not exist. The storage is not consistent.")
    return probe.modified


def for_each(storage: Storage, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield the results of a function for all items, in their order. `storage.parallel` calls run at once."""
    if storage.parallel == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(storage.parallel) as threads:
        yield from threads.map(function, items)


class FolderStorage:
    """A folder. Files and folders may vanish during a read, because the registry keeps running."""

    parallel = 1
    keeps_times = True
    has_disk = True

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root)

    def entries(self, folder: str) -> Iterator[Entry]:
        folders = [folder]
        while folders:
            current = folders.pop()
            with suppress(FileNotFoundError), os.scandir(self._root / current) as items:
                for item in items:
                    path = f"{current}/{item.name}"
                    if item.is_dir(follow_symlinks=False):
                        folders.append(path)
                    else:
                        with suppress(FileNotFoundError):
                            status = item.stat(follow_symlinks=False)
                            yield Entry(path, status.st_size, status.st_mtime)

    def entry(self, path: str) -> Entry | None:
        with suppress(FileNotFoundError):
            status = (self._root / path).stat()
            return Entry(path, status.st_size, status.st_mtime)
        return None

    def chunks(self, path: str) -> Iterator[bytes]:
        with (self._root / path).open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
            # The pages of a file that is read once would drive out those that clients need.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def write(self, path: str, content: bytes) -> None:
        target = self._root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.partial")
        try:
            partial.write_bytes(content)
        except OSError:  # the disk is full
            partial.unlink(missing_ok=True)
            raise
        partial.replace(target)

    def move(self, path: str, target: str) -> None:
        destination = self._root / target
        destination.parent.mkdir(parents=True, exist_ok=True)
        (self._root / path).replace(destination)

    def restore(self, path: str, target: str) -> None:
        source, destination = self._root / path, self._root / target
        destination.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, destination)  # unlike a rename, it never replaces a newer file
        except FileExistsError:
            pass
        except FileNotFoundError:
            raise
        except OSError:  # the file system has no hard links
            if not destination.exists():
                source.replace(destination)
                return
        source.unlink()

    def delete(self, path: str) -> None:
        (self._root / path).unlink(missing_ok=True)

    def remove_folder(self, folder: str) -> None:
        for current, _, _ in os.walk(self._root / folder, topdown=False):
            with suppress(OSError):  # it is not empty
                os.rmdir(current)

    def abort_uploads(self, before: float) -> int:
        return 0
