"""Writing and removing what was planned: every new text lies beside its file before the first file is touched."""

import errno
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..stack import Refusal
from .machine import Machine
from .plan import Change

FILE, FOLDER = 0o644, 0o755
"""Modes: a CA is for everybody to read."""


def commit(machine: Machine, changes: Sequence[Change]) -> None:
    """Do it. What cannot be written ends it before anything is changed."""
    written = [(_end_of(machine.at(change.path)), change.text) for change in changes if change.text is not None]
    ready: list[tuple[Path, Path]] = []
    folders: list[Path] = []
    try:
        for path, text in written:
            _make_folders(path.parent, folders)
            ready.append((_laid_beside(path, text), path))
    except OSError as error:
        for beside, _ in ready:
            beside.unlink()
        for folder in reversed(folders):
            folder.rmdir()
        raise Refusal(f"{error.filename} cannot be written ({error.strerror}): nothing was changed") from None
    try:
        for beside, path in ready:
            _put(beside, path)
        _remove(machine, [change for change in changes if change.status == "removed"])
    except OSError as error:
        raise Refusal(f"stopped at {error.filename} ({error.strerror}): call it again, it goes on there") from None


def _end_of(path: Path) -> Path:
    """Where a link leads: it stays one."""
    return path.resolve() if path.is_symlink() else path


def _make_folders(folder: Path, made: list[Path]) -> None:
    """`folder` and those above it that are missing; `made` hears of each."""
    for each in [*reversed(folder.parents), folder]:
        if not each.is_dir():
            each.mkdir()
            made.append(each)
            each.chmod(FOLDER)  # whatever the umask


def _laid_beside(path: Path, text: str) -> Path:
    """A file with the text in the folder of `path`; its name ends in nothing that a client would read."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode(errors="surrogateescape"))
            os.fchmod(file.fileno(), path.stat().st_mode & 0o777 if path.exists() else FILE)
    except OSError:
        Path(name).unlink()
        raise
    return Path(name)


def _put(beside: Path, path: Path) -> None:
    """`beside` takes the place of `path`."""
    try:
        beside.replace(path)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        path.write_bytes(beside.read_bytes())  # /etc/hosts of a container is a mount, which only takes a new content
        beside.unlink()


def _remove(machine: Machine, changes: Sequence[Change]) -> None:
    for change in changes:
        machine.at(change.path).unlink(missing_ok=True)  # a link may have led two clients to one file
    for change in changes:
        for folder in change.path.parents[: change.made]:
            with suppress(OSError):  # somebody else has put something there
                machine.at(folder).rmdir()
