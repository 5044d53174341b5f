"""Write a file that other programs read: the old content stays until the new one is complete."""

import os
import tempfile
from pathlib import Path

from .errors import CommandError


def require_writable(path: Path) -> None:
    """Raise `CommandError` if `path` cannot be written. Only an attempt shows a read-only file system."""
    try:
        if path.exists() and not path.is_file():
            raise CommandError(f"{path} is not a file.", "Pass the name of a file.")
        tempfile.TemporaryFile(dir=path.resolve().parent).close()
    except OSError as error:
        raise _explain(path, error) from None


def replace_text(path: Path, text: str) -> None:
    """Replace the content of a file, and keep its mode. A new file has the mode that the umask allows."""
    target = path.resolve()  # a link stays, and its target is replaced
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode(errors="replace"))
                os.fchmod(file.fileno(), target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _explain(path, error) from None


def _umask() -> int:
    """Return the umask, which can only be read by setting it."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def _explain(path: Path, error: OSError) -> CommandError:
    return CommandError(f"{path} cannot be written: {error.strerror}.", "Pass the name of another file.")
