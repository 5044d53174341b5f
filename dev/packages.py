"""The Debian packages that the embedded cluster runs, unpacked into the cache and never installed.

No service starts, no file of the system changes, nothing is in conflict with a Docker that is there already
and nothing has to be undone. A command on PATH is used as it is; apt verifies what is fetched for the others.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dev import cache
from dev.console import Step, Unmet, step

COMMANDS: Mapping[str, str] = {
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "host-local": "containernetworking-plugins",
    "nft": "nftables",
    "dockerd": "docker.io",
    "docker": "docker.io",
    "busybox": "busybox-static",
}
"""Each command of the cluster and the package that brings it."""

SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/lib/cni", "/opt/cni/bin")
"""Where commands are besides PATH, which often lacks sbin; the CNI plugins never are on PATH."""

APT = (
    "apt-get", "install", "-qq", "--yes", "--no-install-recommends",
    "-o", "Debug::NoLocking=true",  # nothing is installed: no need to wait for another apt
    "-o", "APT::Sandbox::User=root",  # the user _apt cannot write into a cache folder
)  # fmt: skip


@dataclass(frozen=True)
class Packages:
    """Where the commands are: on PATH, or below `root`."""

    unpacked: frozenset[str] = frozenset()
    root: Path = Path("/")

    @property
    def path(self) -> tuple[Path, ...]:
        """What PATH needs besides the user's own."""
        folders = ("usr/sbin", "usr/bin", "sbin", "bin") if self.unpacked else ()
        return tuple(self.root / folder for folder in folders)

    @property
    def env(self) -> dict[str, str]:
        """What a command needs in its environment, PATH included."""
        path = os.pathsep.join([_search_path(), *map(str, self.path)])
        libraries = sorted({str(library.parent) for library in self.root.glob("usr/lib/*/lib*.so.*")})
        if not self.unpacked or not libraries:
            return {"PATH": path}
        inherited = os.environ.get("LD_LIBRARY_PATH")
        return {
            "PATH": path,
            "LD_LIBRARY_PATH": os.pathsep.join([*libraries, *([inherited] if inherited else [])]),
        }

    def find(self, command: str) -> Path:
        """The file of `command`, the unpacked one where the system has none that fits."""
        ours = os.pathsep.join(map(str, (*self.path, self.root / "usr/lib/cni")))
        path = ours if command in self.unpacked else os.pathsep.join([_search_path(), ours])
        found = shutil.which(command, path=path)
        if not found:
            raise Unmet(f"`{command}` is missing: install the package {COMMANDS.get(command, command)}.")
        return Path(found)


def provide(commands: Mapping[str, str] = COMMANDS) -> Packages:
    """All `commands`, fetching the packages of those that this machine does not have."""
    missing = frozenset(command for command in commands if not _fits(command))
    if not missing:
        return Packages()
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Unmet(
            f"{', '.join(sorted(missing))}: not found, and there is no apt-get to fetch them: install them, "
            "or set KUBECONFIG to a cluster of your own."
        )
    wanted = sorted({commands[command] for command in missing})
    try:
        return Packages(missing, _unpacked(wanted))
    except subprocess.CalledProcessError:
        with step("Package lists updated (apt-get update)"):
            # It fails for any unreachable third-party source, whatever else came: the retry decides.
            subprocess.run(["apt-get", "update", "-qq"], capture_output=True, check=False)
    try:
        return Packages(missing, _unpacked(wanted))
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip() or "apt-get failed").splitlines()[-1]
        raise Unmet(f"The packages {' '.join(wanted)} cannot be fetched ({reason}): install them.") from error


def _unpacked(packages: Iterable[str]) -> Path:
    """The folder of `packages` and of what they depend on, keyed by their versions."""
    plan = _run(*APT, "--simulate", *packages)
    versions = sorted(line for line in plan.splitlines() if line.startswith("Inst "))
    key = hashlib.sha256("\n".join(versions).encode()).hexdigest()[:12]
    target = cache.root() / "packages" / key
    if target.is_dir():
        return target
    with step(f"{len(versions)} Debian packages unpacked") as current:
        return cache.folder(
            target,
            lambda folder: _unpack(packages, folder, current),
            lambda: current.note("another clone is fetching them: waiting for it"),
        )


def _unpack(packages: Iterable[str], folder: Path, current: Step) -> None:
    archives = folder / "archives"
    (archives / "partial").mkdir(parents=True)
    current.detail("downloading")
    _run(*APT, "--download-only", "-o", f"Dir::Cache::archives={archives}", *packages)
    found = sorted(archives.glob("*.deb"))
    current.total = len(found)
    for archive in found:
        current.detail(archive.name.partition("_")[0])
        _run("dpkg-deb", "--extract", str(archive), str(folder))
        current.advance()
    shutil.rmtree(archives)


def _fits(command: str) -> bool:
    """Whether the system's `command` will do. An image is made of busybox alone, so it has to be static."""
    found = shutil.which(command, path=_search_path())
    return bool(found) and (command != "busybox" or b"/ld-linux" not in Path(found or "").read_bytes())


def _search_path() -> str:
    return os.pathsep.join([cache.without(os.environ.get("PATH", os.defpath)), *SYSTEM_FOLDERS])


def _run(*command: str) -> str:
    env = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
