"""The Debian packages of the embedded cluster, unpacked into the cache and never installed.

Unpacking starts no service, changes no file of the system and does not conflict with an installed Docker. A usable
command of the system is preferred. apt downloads and verifies the packages of the missing commands.
"""

import functools
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dev import cache
from dev.console import Step, step
from dev.errors import RequirementError

COMMANDS: Mapping[str, str] = {
    "runc": "runc",
    "host-local": "containernetworking-plugins",
    "nft": "nftables",
    "dockerd": "docker.io",
    "docker": "docker.io",
    "busybox": "busybox-static",
}
"""Debian package of each command that the cluster runs."""

SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/lib/cni", "/opt/cni/bin")
"""Folders to search after PATH, which often lacks sbin and never has the CNI plugins."""

APT_INSTALL = (
    "apt-get", "install", "-qq", "--yes", "--no-install-recommends",
    "-o", "Debug::NoLocking=true",  # no lock is needed, because no package is installed
    "-o", "APT::Sandbox::User=root",  # the user _apt cannot write into a cache folder
)  # fmt: skip

APT_STATE = tuple(
    map(Path, ("/var/lib/dpkg/status", "/var/lib/apt/lists", "/etc/apt/sources.list", "/etc/apt/sources.list.d"))
)
"""Files and folders that change when apt may select other versions: it installs, updates, or has other sources."""


@dataclass(frozen=True)
class Packages:
    """The location of each command. It is in a folder of the system, or below `root` if its package was unpacked."""

    unpacked_commands: frozenset[str] = frozenset()
    root: Path = Path("/")

    @property
    def path(self) -> tuple[Path, ...]:
        """Folders of the unpacked packages for PATH."""
        folders = ("usr/sbin", "usr/bin", "sbin", "bin") if self.unpacked_commands else ()
        return tuple(self.root / folder for folder in folders)

    @property
    def env(self) -> dict[str, str]:
        """Variables that the commands need: PATH, and the library path of unpacked packages."""
        search_path = os.pathsep.join([_search_path(), *map(str, self.path)])
        found = (self.root.glob(f"{folder}/*/lib*.so.*") for folder in ("usr/lib", "lib"))
        libraries = sorted({str(library.parent) for libraries in found for library in libraries})
        if not self.unpacked_commands or not libraries:
            return {"PATH": search_path}
        library_path = os.environ.get("LD_LIBRARY_PATH")
        return {
            "PATH": search_path,
            "LD_LIBRARY_PATH": os.pathsep.join([*libraries, *([library_path] if library_path else [])]),
        }

    def find(self, command: str) -> Path:
        """Return the path of `command`. Raise `RequirementError` if it is missing.

        The command of the system is preferred, unless it is not usable.
        """
        unpacked = os.pathsep.join(map(str, (*self.path, self.root / "usr/lib/cni")))
        search_path = unpacked if command in self.unpacked_commands else os.pathsep.join([_search_path(), unpacked])
        path = shutil.which(command, path=search_path)
        if not path:
            raise RequirementError(
                f"The command `{command}` is missing.", f"Install the package {COMMANDS.get(command, command)}."
            )
        return Path(path)


def provide_packages(commands: Mapping[str, str] = COMMANDS) -> Packages:
    """Return the locations of `commands`, a table of their packages. Download the packages that this machine lacks."""
    missing_commands = frozenset(command for command in commands if not _is_usable(command))
    if not missing_commands:
        return Packages()
    if missing_tools := [tool for tool in ("apt-get", "dpkg-deb") if not shutil.which(tool)]:
        raise RequirementError(
            f"This machine lacks the commands {', '.join(sorted(missing_commands))}, "
            f"and {' and '.join(missing_tools)} to unpack their packages.",
            "Install the commands, or set KUBECONFIG to a cluster of your own.",
        )
    names = sorted({commands[command] for command in missing_commands})
    try:
        return Packages(missing_commands, _ensure_unpacked(names))
    except subprocess.CalledProcessError:
        with step("package lists updated (apt-get update)"):
            # This fails if any package source is unreachable. The packages may still be available, so go on.
            subprocess.run(["apt-get", "update", "-qq"], capture_output=True, check=False)
    try:
        return Packages(missing_commands, _ensure_unpacked(names))
    except subprocess.CalledProcessError as error:
        raise RequirementError(
            f"The command `{error.cmd[0]}` failed for the packages {' '.join(names)}.",
            "Fix the cause, or install the packages.",
            details=error.stderr.strip(),
        ) from error


@functools.cache
def provide_haproxy() -> Packages:
    """Return the location of HAProxy. The result is cached, because apt takes seconds to look up its version."""
    return provide_packages({"haproxy": "haproxy"})


def _ensure_unpacked(packages: Sequence[str]) -> Path:
    """Return the folder of `packages` and their dependencies. Its name is a digest of their versions."""
    versions = _select_versions(packages)
    key = _digest("\n".join(versions))
    target = cache.root() / "packages" / key
    if target.is_dir():
        return target
    with step(f"{len(versions)} Debian packages unpacked") as current_step:
        return cache.ensure_folder(
            target,
            lambda folder: _unpack(packages, folder, current_step),
            lambda: current_step.note("waiting for another process that is downloading them"),
        )


def _select_versions(packages: Sequence[str]) -> list[str]:
    """Return the packages with their versions and dependencies, as apt selects them.

    apt takes a second. The result is remembered until a file of its state changes.
    """

    def fill(folder: Path) -> None:
        (folder / "plan").write_text(_run(*APT_INSTALL, "--simulate", *packages))

    state = [(path, path.stat().st_mtime_ns) for path in APT_STATE if path.exists()]
    key = _digest(repr((packages, state)))
    plan = (cache.ensure_folder(cache.root() / "packages" / f"selected-{key}", fill) / "plan").read_text()
    return sorted(line for line in plan.splitlines() if line.startswith("Inst "))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _unpack(packages: Iterable[str], folder: Path, current_step: Step) -> None:
    archives = folder / "archives"
    (archives / "partial").mkdir(parents=True)
    current_step.show_detail("downloading")
    _run(*APT_INSTALL, "--download-only", "-o", f"Dir::Cache::archives={archives}", *packages)
    package_files = sorted(archives.glob("*.deb"))
    current_step.total = len(package_files)
    for archive in package_files:
        current_step.show_detail(archive.name.partition("_")[0])
        _run("dpkg-deb", "--extract", str(archive), str(folder))
        current_step.advance()
    shutil.rmtree(archives)


def _is_usable(command: str) -> bool:
    """Return whether the system has `command`. busybox has to be static, because images contain no libraries."""
    path = shutil.which(command, path=_search_path())
    return path is not None and (command != "busybox" or b"/ld-linux" not in Path(path).read_bytes())


def _search_path() -> str:
    return os.pathsep.join([cache.strip_from_path(os.environ.get("PATH", os.defpath)), *SYSTEM_FOLDERS])


def _run(*command: str) -> str:
    env = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
