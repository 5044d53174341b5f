"""Read the volume with the images in a Pod of the registry, and find why it cannot be written."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ForbiddenError

from registry.storage import MOUNT_PATH

from .errors import CheckError
from .kubernetes import Object, exec_in_pod, find_claim, get_object

FULL_SHARE = 0.01
"""Share of space and inodes below which a volume is full, if a push fails."""

IMAGES = f"{MOUNT_PATH}/docker/registry/v2/repositories"

SCRIPT = f"""
df -P -k {MOUNT_PATH} || exit
df -P -i {MOUNT_PATH}
grep ' {MOUNT_PATH} ' /proc/mounts
id -u
id -G
stat -c '%u %g %a' {MOUNT_PATH} {IMAGES} 2> /dev/null
"""
"""Script that prints the space and the inodes of the volume, its mount, the user and groups, and the folders' rights.

`df -P` prints a header and a line: device, size, used, available and more. A file system without inodes prints "-".
`test -w` is no help, because busybox takes every folder as writable for root."""


@dataclass(frozen=True)
class DiskSpace:
    """The space of a volume in bytes, its inodes, and whether the registry may write.

    Attributes:
        inodes: Number of inodes, or 0 if the file system does not count them.
        is_writable: Whether the user of the registry may write to the folder, by its owner and mode. A server of
            files can decide otherwise, so this counts only if a push fails.
        user: Numbers of that user and its group, such as 0:0, for `chown`.
        node: Node of the Pod.
        folder: Folder of the volume on that node, or "" if the volume is elsewhere.
    """

    size: int
    free: int
    inodes: int = 0
    free_inodes: int = 0
    is_read_only: bool = False
    is_writable: bool = True
    user: str = "0:0"
    node: str = ""
    folder: str = ""

    @property
    def free_share(self) -> float:
        """Return the share of free space, from 0 to 1."""
        return self.free / self.size if self.size else 0

    @property
    def free_inode_share(self) -> float:
        """Return the share of free inodes, from 0 to 1. It is 1 if they are not counted."""
        return self.free_inodes / self.inodes if self.inodes else 1


def read_disk_space(client: DynamicClient, pod: Object) -> DiskSpace:
    """Return the space of the volume that the Pod mounts."""
    values = parse_space(exec_in_pod(pod, ("sh", "-c", SCRIPT)))
    return DiskSpace(**values, node=pod["spec"].get("nodeName") or "", folder=folder_on_node(find_volume(client, pod)))


def parse_space(output: str) -> dict[str, Any]:
    """Return the values of `SCRIPT`. Raise `CheckError` with the output if it is an error."""
    try:
        _, space, _, inodes, mount, user, groups, *folders = output.splitlines()
        _, size, _, free, *_ = space.split()
        _, count, _, free_inodes, *_ = inodes.split()
        return {
            "size": int(size) * 1024,
            "free": int(free) * 1024,
            "inodes": int(count) if count.isdigit() else 0,
            "free_inodes": int(free_inodes) if free_inodes.isdigit() else 0,
            "is_read_only": "ro" in mount.split()[3].split(","),
            "is_writable": all(_may_write(user.strip(), groups.split(), *folder.split()) for folder in folders),
            "user": f"{user.strip()}:{groups.split()[0]}",
        }
    except (ValueError, IndexError):
        text = " ".join(output.split()).rstrip(".") or "no output"
        raise CheckError(
            f"`df` in the Pod failed: {text}.", "Check the space on the node itself, because the image may lack `df`."
        ) from None


def _may_write(user: str, groups: Sequence[str], owner: str, group: str, mode: str) -> bool:
    """Return whether a user without capabilities may write to a folder, by its owner, group and mode (octal)."""
    rights = int(mode, 8)
    return bool(rights & (0o200 if user == owner else 0o020 if group in groups else 0o002))


def find_volume(client: DynamicClient, pod: Object) -> Object | None:
    """Return the PersistentVolume of the Pod, or None if it is missing or the user may not read it."""
    claim = get_object(client, "PersistentVolumeClaim", find_claim(pod), pod["metadata"]["namespace"])
    name = ((claim or {}).get("spec") or {}).get("volumeName")
    if not name:
        return None
    with suppress(ForbiddenError):
        return get_object(client, "PersistentVolume", name)
    return None


def folder_on_node(volume: Object | None) -> str:
    """Return the folder of a volume on its node, or "" if it is not a folder."""
    spec: Mapping[str, Any] = (volume or {}).get("spec") or {}
    source = spec.get("hostPath") or spec.get("local") or {}
    return str(source.get("path") or "")


def find_shortage(space: DiskSpace, least_share: float) -> CheckError | None:
    """Return why the registry cannot write, or soon cannot. `least_share` of space and inodes must be free."""
    where = f" on the node {space.node}" if space.node else ""
    if space.is_read_only:
        mount = f'mount -o remount,rw "$(findmnt -n -o TARGET -T {space.folder})"' if space.folder else ""
        return CheckError(
            f"The file system of the images{where} is read-only.",
            f"Read `dmesg`{where} for the cause, such as a broken disk. "
            + (f"Then run `{mount}` there." if mount else "Then mount the volume read-write again."),
        )
    for name, share in (("inodes", space.free_inode_share), ("space", space.free_share)):
        if share < least_share:
            left = f"no {name}" if share < FULL_SHARE else f"less than {least_share:.0%} of its {name}"
            return CheckError(
                f"The disk of the images{where} has {left} left.",
                "Run `python -m ops collect`, which deletes what no image needs, and tags that `retention` does not "
                "keep. Otherwise use a larger disk.",
            )
    return None


def find_write_problem(client: DynamicClient, pod: Object) -> CheckError | None:
    """Return why the Pod cannot write to its volume, or None if it can, or if it has no volume."""
    if not find_claim(pod):
        return None
    space = read_disk_space(client, pod)
    if space.is_writable or space.is_read_only:
        return find_shortage(space, FULL_SHARE)
    where = f" on the node {space.node}" if space.node else ""
    folder, user = space.folder or "the folder of the volume", space.user.partition(":")[0]
    return CheckError(
        f"The registry may not write to the folder of the images, which belongs to another user than {user}.",
        f"Run `chown -R {space.user} {folder}`{where}.",
    )
