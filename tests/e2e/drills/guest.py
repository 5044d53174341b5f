"""A virtual machine with a registry, whose power a drill can cut and whose clock it can change.

The kernel and QEMU are Debian's. The initial file system has busybox, the registry, and the kernel's modules for disk
and network. The registry stores its images on an ext4 disk with default mount options, a file of this machine.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from dev.packages import Packages, provide_packages

PACKAGES = {"qemu-system-x86_64": "qemu-system-x86", "vmlinuz": "linux-image-cloud-amd64"}

MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "ext4")

MEMORY_MIB = 512

DISK_BYTES = 2 << 30

BOOT_SECONDS = 120

CONFIG = """\
version: 0.1
log: {accesslog: {disabled: true}, level: error}
storage: {filesystem: {rootdirectory: /images}}
http: {addr: ":5000"}
"""

INIT = """\
#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /images /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
for module in MODULES; do /bin/busybox insmod /modules/$module; done
/bin/busybox mount -t ext4 /dev/vda /images
/bin/busybox ifconfig lo 127.0.0.1 up
/bin/busybox ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
/bin/busybox sh < /dev/ttyS1 > /dev/console 2>&1 &
exec /bin/registry serve /config.yml
"""
"""First program of the guest. The addresses are those of QEMU's user network. A shell reads the second serial port."""


class Guest:
    """A virtual machine whose registry answers at `port` of the loopback interface. Its disk outlives its power."""

    def __init__(self, folder: Path, registry: Path, busybox: Path) -> None:
        """Create the disk and the initial file system in a folder."""
        self.port = _free_port()
        self.disk = folder / "disk.ext4"
        self._folder, self._packages = folder, provide_packages(PACKAGES)
        self._kernel = _find_kernel(self._packages)
        self._process: subprocess.Popen[bytes] | None = None
        with self.disk.open("wb") as disk:
            disk.truncate(DISK_BYTES)
        subprocess.run(["mkfs.ext4", "-q", self.disk], check=True)
        self._initrd = _create_initrd(folder, self._packages, registry, busybox)

    def start(self) -> float:
        """Switch the machine on. Return the seconds until its registry answers."""
        system = self._packages.root / "usr"
        arguments: list[str | Path] = [
            *("-L", system / "share/qemu", "-L", system / "share/seabios"),
            # Emulation also works without /dev/kvm, and inside of other virtual machines.
            *("-machine", "q35,accel=tcg", "-smp", "1", "-m", str(MEMORY_MIB)),
            *("-nodefaults", "-no-reboot", "-display", "none", "-serial", f"file:{self._folder / 'console'}"),
            *("-serial", "stdio"),
            *("-kernel", self._kernel, "-initrd", self._initrd, "-append", "console=ttyS0 quiet panic=-1"),
            *("-drive", f"file={self.disk},if=virtio,format=raw,cache=writeback"),
            *("-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{self.port}-:5000"),
            *("-device", "virtio-net-pci,netdev=net,romfile="),
        ]
        start = time.monotonic()
        program = self._packages.find("qemu-system-x86_64")
        environment = {**os.environ, **self._packages.env}
        with (self._folder / "qemu.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, *arguments], env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log
            )
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "qemu.log").read_text()
            assert time.monotonic() < start + BOOT_SECONDS, (self._folder / "console").read_text()
            time.sleep(0.05)
        return time.monotonic() - start

    def cut_power(self) -> None:
        """Switch the machine off at once. What its kernel had not yet written to the disk is lost."""
        if self._process is not None:
            with self._process as process:
                process.send_signal(signal.SIGKILL)
            self._process = None

    def clock(self) -> datetime:
        """Return the registry's time, to the second."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v2/", timeout=5) as response:
            return parsedate_to_datetime(response.headers["Date"])

    def move_clock(self, seconds: int) -> None:
        """Set the clock of the running machine forward, or back if `seconds` is negative."""
        assert self._process
        assert self._process.stdin
        self._process.stdin.write(f"date -s @$(($(date +%s) + {seconds}))\n".encode())
        self._process.stdin.flush()

    def count_tags(self, folder: str) -> int:
        """Return the number of tags in the repositories of the folder."""
        names = json.loads(self._get("/v2/_catalog") or "{}").get("repositories", [])
        lists = [self._get(f"/v2/{name}/tags/list") for name in names if name.startswith(f"{folder}/")]
        return sum(len(json.loads(content or "{}").get("tags") or []) for content in lists)

    def _answers(self) -> bool:
        return self._get("/v2/") is not None

    def _get(self, path: str) -> bytes | None:
        """Return the body of a response with status 200, else None."""
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
            return bytes(response.read())
        return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _find_kernel(packages: Packages) -> Path:
    (kernel,) = (packages.root / "boot").glob("vmlinuz-*")
    return kernel


def _create_initrd(folder: Path, packages: Packages, registry: Path, busybox: Path) -> Path:
    """Write an archive with the programs, the modules and the configuration."""
    root = folder / "initrd"
    for name in ("bin", "modules"):
        (root / name).mkdir(parents=True)
    shutil.copy(busybox, root / "bin/busybox")
    shutil.copy(registry, root / "bin/registry")
    modules = list(_with_dependencies(MODULES, packages.root / "lib/modules"))
    for number, module in enumerate(modules):
        shutil.copy(module, root / "modules" / f"{number:02}-{module.name}")
    (root / "config.yml").write_text(CONFIG)
    (root / "init").write_text(INIT.replace("MODULES", " ".join(sorted(os.listdir(root / "modules")))))
    (root / "init").chmod(0o755)
    initrd = folder / "initrd.cpio"
    search_path = os.pathsep.join([os.environ["PATH"], *map(str, packages.path)])
    command = "find . | cpio --quiet --create --format=newc"
    with initrd.open("wb") as archive:
        subprocess.run(
            command, shell=True, cwd=root, env={**os.environ, "PATH": search_path}, stdout=archive, check=True
        )
    return initrd


def _with_dependencies(names: Sequence[str], folder: Path) -> Iterator[Path]:
    """Yield the files of kernel modules, each after those that it needs. Skip modules that the kernel has built in."""
    files = {path.name.removesuffix(".ko").replace("-", "_"): path for path in folder.rglob("*.ko")}
    seen: set[str] = set()

    def visit(name: str) -> Iterator[Path]:
        if name not in files or name in seen:
            return
        seen.add(name)
        match = re.search(rb"\0depends=([\w,-]*)\0", b"\0" + files[name].read_bytes())
        # A soft dependency is a module that the kernel asks for by name, such as the checksum of ext4.
        soft = re.findall(rb"softdep=pre: ([\w-]+)", files[name].read_bytes())
        needed = match[1].decode().split(",") if match and match[1] else []
        for each in [*(word.decode() for word in soft), *needed]:
            yield from visit(each.replace("-", "_"))
        yield files[name]

    for name in names:
        yield from visit(name)
