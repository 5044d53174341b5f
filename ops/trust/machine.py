"""The machine that `ops trust` changes: its files, programs and names. In tests its root is a temporary folder."""

import os
import pwd
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import CommandError

SBIN = "/usr/sbin:/sbin"
"""Folders that a user's PATH often lacks."""


@dataclass(frozen=True)
class Machine:
    """A machine. Its paths are absolute, as its own programs see them. `locate` returns the path below `root`."""

    root: Path
    home: PurePosixPath
    config: PurePosixPath
    """The user's configuration folder: `$XDG_CONFIG_HOME`, or ~/.config."""
    is_root: bool
    """Whether the user is root."""
    command_line: str
    """The command line of this process, for messages."""
    which: Callable[[str], str | None]
    """Returns the path of a program, or None."""
    resolve: Callable[[str], list[str]]
    """Returns the addresses of a name."""
    run: Callable[[Sequence[str]], None]
    """Runs a program of the system to its end."""
    ask: Callable[[str], bool] | None
    """Asks the user yes or no. None if there is no terminal."""

    def locate(self, path: PurePosixPath) -> Path:
        """Return the path below `root` of the machine's `path`."""
        return self.root / path.relative_to("/")

    def read(self, path: PurePosixPath) -> str | None:
        """Return the text of a file, whatever bytes it has, or None if it does not exist."""
        try:
            return self.locate(path).read_bytes().decode(errors="surrogateescape")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CommandError(
                f"{path} cannot be read: {error.strerror}.", f"Move it away, or run `{self.sudo_command}`."
            ) from None

    def may_write(self, path: PurePosixPath) -> bool:
        """Return whether the file can be replaced or removed. A rename needs write access to the folder."""
        folder = next(parent for parent in self.locate(path).parents if parent.exists())
        return os.access(folder, os.W_OK | os.X_OK)

    @property
    def sudo_command(self) -> str:
        """Return this command line with sudo. By default sudo would drop PATH and Pulumi's variables."""
        return f'sudo -E env "PATH=$PATH" {self.command_line}'


def describe_machine(ask: Callable[[str], bool]) -> Machine:
    """Return the machine of this process. `ask` is used only if standard input is a terminal."""
    # `sudo -E` keeps the user's HOME. Root must not write files there, because the user could not change them.
    is_sudo = "SUDO_UID" in os.environ
    home = PurePosixPath(pwd.getpwuid(os.geteuid()).pw_dir if is_sudo else Path.home())
    config = None if is_sudo else os.environ.get("XDG_CONFIG_HOME")
    return Machine(
        root=Path("/"),
        home=home,
        config=PurePosixPath(config or home / ".config"),
        is_root=os.geteuid() == 0,
        command_line=shlex.join([sys.executable, "-m", "ops", *sys.argv[1:]]),
        which=lambda program: shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:{SBIN}"),
        resolve=_resolve,
        run=_run,
        ask=ask if sys.stdin.isatty() else None,
    )


def read_public_cas() -> str:
    """Return the CAs that Python programs trust by default, for a machine without a system store."""
    from requests.utils import DEFAULT_CA_BUNDLE_PATH  # takes a while, and only the client `python` needs it

    return Path(DEFAULT_CA_BUNDLE_PATH).read_text()


def _resolve(name: str) -> list[str]:
    try:
        return list(dict.fromkeys(str(entry[4][0]) for entry in socket.getaddrinfo(name, None)))
    except (socket.gaierror, UnicodeError):
        return []


def _run(command: Sequence[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = (result.stderr or result.stdout).strip().splitlines() or [f"exit code {result.returncode}"]
        raise CommandError(
            f"`{shlex.join(command)}` failed: {lines[-1].rstrip('.')}.",
            "The files need no more change, so run only this program again.",
        )
