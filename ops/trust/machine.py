"""A machine, as far as trust is concerned. In tests its root is a folder; only `here` knows the real one."""

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

from ..stack import Refusal

SBIN = "/usr/sbin:/sbin"
"""A person's PATH often lacks them."""


@dataclass(frozen=True)
class Machine:
    """Its paths are absolute ones as its programs see them; `at` says where they lie."""

    root: Path
    home: PurePosixPath
    config: PurePosixPath
    """The person's folder for settings, `$XDG_CONFIG_HOME`."""
    is_root: bool
    """Whether the person is root."""
    call: str
    """The command line of this call, for a remedy to repeat."""
    which: Callable[[str], str | None]
    """Where a program is, if it is there."""
    resolve: Callable[[str], list[str]]
    """The addresses of a name, none if it has none."""
    run: Callable[[Sequence[str]], None]
    """Run a program of the system to its end."""
    ask: Callable[[str], bool] | None
    """Ask the person yes or no; none without a terminal."""

    def at(self, path: PurePosixPath) -> Path:
        """Where `path` of the machine lies."""
        return self.root / path.relative_to("/")

    def read(self, path: PurePosixPath) -> str | None:
        """The text of a file, with whatever bytes it has; none if it is not there."""
        try:
            return self.at(path).read_bytes().decode(errors="surrogateescape")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refusal(f"{path} cannot be read ({error.strerror}): move it away, or {self.as_root}") from None

    def may_write(self, path: PurePosixPath) -> bool:
        """Whether the file can be made, replaced and removed: by rename, so its folder has to be writable."""
        folder = next(each for each in self.at(path).parents if each.exists())
        return os.access(folder, os.W_OK | os.X_OK)

    @property
    def as_root(self) -> str:
        """The remedy where permission is missing; sudo would drop PATH and the engine's variables."""
        return f'call it with sudo: `sudo -E env "PATH=$PATH" {self.call}`'


def here(ask: Callable[[str], bool]) -> Machine:
    """This machine, for the person who calls; `ask` counts if they sit at a terminal."""
    # sudo -E keeps HOME: root's files in a person's home would be in their way.
    own = "SUDO_UID" not in os.environ
    home = PurePosixPath(Path.home() if own else pwd.getpwuid(os.geteuid()).pw_dir)
    config = os.environ.get("XDG_CONFIG_HOME") if own else None
    return Machine(
        root=Path("/"),
        home=home,
        config=PurePosixPath(config or home / ".config"),
        is_root=os.geteuid() == 0,
        call=shlex.join([sys.executable, "-m", "ops", *sys.argv[1:]]),
        which=lambda program: shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:{SBIN}"),
        resolve=_resolve,
        run=_run,
        ask=ask if sys.stdin.isatty() else None,
    )


def public_roots() -> str:
    """The CAs that Python programs trust by themselves, for a machine without a list of its own."""
    from requests.utils import DEFAULT_CA_BUNDLE_PATH  # half a second for everybody else

    return Path(DEFAULT_CA_BUNDLE_PATH).read_text()


def _resolve(name: str) -> list[str]:
    try:
        return list(dict.fromkeys(str(each[4][0]) for each in socket.getaddrinfo(name, None)))
    except (socket.gaierror, UnicodeError):
        return []


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise Refusal(f"`{shlex.join(command)}` failed, {said[-1]}: the files are written, run it again by hand")
