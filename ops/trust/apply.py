"""Apply planned changes. Every new text is written to a temporary file before the first file is replaced."""

import errno
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..errors import CommandError
from .machine import Machine
from .plan import Change

FILE_MODE, FOLDER_MODE = 0o644, 0o755
"""Modes of new files and folders: every user may read a CA."""


def apply_changes(machine: Machine, changes: Sequence[Change]) -> None:
    """Write and remove files. Raise `CommandError` if a change fails.

    If a temporary file cannot be written, no file is changed. If a file cannot be replaced or removed after that, the
    changes before it stay.
    """
    writes = [(_follow_link(machine.locate(change.path)), change.text) for change in changes if change.text is not None]
    staged_files: list[tuple[Path, Path]] = []
    created_folders: list[Path] = []
    try:
        for path, text in writes:
            _create_folders(path.parent, created_folders)
            staged_files.append((_write_temporary(path, text), path))
    except OSError as error:
        for temporary, _ in staged_files:
            temporary.unlink()
        for folder in reversed(created_folders):
            folder.rmdir()
        raise CommandError(
            f"{error.filename} cannot be written: {error.strerror}. No file was changed.",
            "Correct this and run the command again.",
        ) from None
    try:
        for temporary, path in staged_files:
            _replace(temporary, path)
        _remove(machine, [change for change in changes if change.status == "removed"])
    except OSError as error:
        raise CommandError(
            f"The command stopped at {error.filename}: {error.strerror}.",
            "Correct this and run the command again, which makes the remaining changes.",
        ) from None


def _follow_link(path: Path) -> Path:
    """Return the target of `path` if it is a link, so that the target is replaced and the link stays."""
    return path.resolve() if path.is_symlink() else path


def _create_folders(folder: Path, created_folders: list[Path]) -> None:
    """Create `folder` and its missing parents, and append them to `created_folders`."""
    for path in [*reversed(folder.parents), folder]:
        if not path.is_dir():
            path.mkdir()
            created_folders.append(path)
            path.chmod(FOLDER_MODE)  # whatever the umask


def _write_temporary(path: Path, text: str) -> Path:
    """Write the text to a temporary file in the folder of `path`, with a name that no client reads."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode(errors="surrogateescape"))
            os.fchmod(file.fileno(), path.stat().st_mode & 0o777 if path.exists() else FILE_MODE)
    except OSError:
        Path(name).unlink()
        raise
    return Path(name)


def _replace(temporary: Path, path: Path) -> None:
    """Move the temporary file to `path`, or copy it there if `path` is a mount."""
    try:
        temporary.replace(path)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        path.write_bytes(temporary.read_bytes())  # /etc/hosts of a container is a mount, which cannot be replaced
        temporary.unlink()


def _remove(machine: Machine, changes: Sequence[Change]) -> None:
    """Remove the files, and the folders that were created for them if they are empty."""
    for change in changes:
        machine.locate(change.path).unlink(missing_ok=True)  # two clients may share one file through a link
    for change in changes:
        for folder in change.path.parents[: change.folders]:
            with suppress(OSError):  # the folder has other files
                machine.locate(folder).rmdir()
