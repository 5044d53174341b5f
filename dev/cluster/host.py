"""A host of the cluster: network, mount and UTS namespaces that look like a machine to its programs.

Its /etc is an overlay on the /etc of the machine, its /var is in the state folder, and its /run is a tmpfs. So daemons
use their default paths, and no file of the machine changes. Processes, users and devices are those of the machine.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from dev.cluster.network import NAMESPACES
from dev.cluster.plan import HOSTS, NODES, VOLUMES, Host, Plan
from dev.errors import ClusterError

PRIVATE_FOLDERS = ("/etc", "/run", "/var")
"""Folders that differ between a host and the machine, so the clone must not be in one of them."""

TUNABLES = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""Kernel settings that the kubelet would change for the machine. A host has files with these values instead."""

SETUP_SCRIPT = """
umount --all --types nsfs  # a copy of the mount of a namespace would keep that namespace alive
hostname "$HOST"
mkdir "$NAMESPACES/cgroup"
mount --rbind /sys/fs/cgroup "$NAMESPACES/cgroup"
# A new sysfs shows the links of this network namespace, and hides AppArmor, so dockerd loads no profile into it.
mount -t sysfs sysfs /sys
mount --move "$NAMESPACES/cgroup" /sys/fs/cgroup
mount -t overlay -o "lowerdir=/etc,upperdir=$DISK/overlay/upper,workdir=$DISK/overlay/work" overlay /etc
for volume in $VOLUMES; do
    mkdir -p "$volume"
    mount --bind "$DISK$volume" "$volume"
done
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/lock /run/netns /run/tunables
for tunable in $TUNABLES; do
    key=${tunable%=*} file=/run/tunables/$(echo "${tunable%=*}" | tr / .)
    echo "${tunable#*=}" > "$file"
    mount --bind "$file" "/proc/sys/$key"
done
echo "$FORWARD" > /proc/sys/net/ipv4/ip_forward
[ -z "$IPV6" ] || echo "$FORWARD" > /proc/sys/net/ipv6/conf/all/forwarding
mount --make-rshared /  # containers see the volumes that the kubelet mounts
"""


def create(plan: Plan, host: Host) -> None:
    """Create the namespaces of `host`. Its disk may exist already."""
    _prepare_disk(plan, host)
    folder = plan.namespaces(host)
    folder.mkdir()
    for kind in ("mnt", "uts"):
        (folder / kind).touch()
    environment = {
        "PATH": os.environ["PATH"],
        "HOST": host.name,
        "NAMESPACES": str(folder),
        "DISK": str(plan.disk(host)),
        "VOLUMES": " ".join(VOLUMES),
        "TUNABLES": " ".join(f"{key}={value}" for key, value in TUNABLES.items()),
        "FORWARD": str(int(host in NODES)),
        "IPV6": "yes" if plan.dual_stack else "",
    }
    enter_network = ("nsenter", f"--net={NAMESPACES / plan.netns(host)}")
    # The files keep the new namespaces after the script has ended.
    create_others = ("unshare", f"--mount={folder / 'mnt'}", f"--uts={folder / 'uts'}", "--propagation=private")
    _run(host, "setup", (*enter_network, *create_others, "sh", "-ec", SETUP_SCRIPT), environment)


def command(
    plan: Plan, host: Host, argv: Sequence[str | Path], environment: Mapping[str, str], folder: str | Path | None = None
) -> list[str]:
    """Return the command that runs `argv` on `host`, in the working directory `folder` (default: the current one)."""
    namespaces = plan.namespaces(host)
    return [
        *("nsenter", f"--net={NAMESPACES / plan.netns(host)}"),
        *(f"--mount={namespaces / 'mnt'}", f"--uts={namespaces / 'uts'}"),
        # nsenter would keep the working directory of the outer mount namespace, where /var differs.
        *("env", f"--chdir={folder or os.getcwd()}", *(f"{key}={value}" for key, value in environment.items())),
        *map(str, argv),
    ]


def run(plan: Plan, host: Host, argv: Sequence[str | Path], environment: Mapping[str, str]) -> str:
    """Return the output of `argv` on `host`. Raise `ClusterError` if it fails.

    Variables of the user are not passed on: in a shell of `dev env`, DOCKER_HOST may belong to another cluster.
    """
    return _run(host, str(argv[0]), command(plan, host, argv, environment, folder="/"), environment)


def _run(host: Host, title: str, argv: Sequence[str], environment: Mapping[str, str]) -> str:
    result = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ClusterError(
            f"The step `{title}` failed on the host {host.name} with exit code {result.returncode}.",
            "Fix the cause and run the same command again.",
            details=result.stderr.strip(),
        )
    return result.stdout


def _prepare_disk(plan: Plan, host: Host) -> None:
    """Create the folders and files of the disk of `host` that are missing."""
    disk = plan.disk(host)
    for folder in (*VOLUMES, "/var/cache", "/var/lib", "/var/log", "/var/spool", "/overlay/work"):
        (disk / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
    (disk / "var/tmp").mkdir(mode=0o1777, exist_ok=True)
    etc = disk / "overlay/upper"
    etc.mkdir(exist_ok=True)
    (etc / "hostname").write_text(f"{host.name}\n")
    (etc / "resolv.conf").write_text("# no name server: names are in /etc/hosts\n")
    if not (etc / "hosts").exists():
        (etc / "hosts").write_text("127.0.0.1 localhost\n" + "".join(f"{h.address} {h.name}\n" for h in HOSTS))
    for link, target in (("run", "/run"), ("lock", "/run/lock")):
        if not (disk / "var" / link).is_symlink():
            (disk / "var" / link).symlink_to(Path(target))
