"""A host: a network, mount and uts namespace that look to a program like a machine of its own.

In it /etc is the machine's with the host's changes on top, /var lies under the state folder and /run is empty, so that
every daemon keeps its stock paths and no file of the machine changes. Processes, users and devices are the machine's.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from dev.cluster.network import NAMESPACES
from dev.cluster.plan import HOSTS, NODES, VOLUMES, Host, Plan

HIDDEN = ("/etc", "/run", "/var")
"""What a host has another version of: nothing that it needs may lie there."""

TUNABLES = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What the kubelet sets for the whole machine. A host shows it these values in files, and the machine keeps its own."""

FURNISH = """
umount --all --types nsfs  # copies of other namespaces' names would keep those alive
hostname "$HOST"
mkdir "$NAMESPACES/cgroup"
mount --rbind /sys/fs/cgroup "$NAMESPACES/cgroup"
mount -t sysfs sysfs /sys  # this network's links in /sys/class/net; no AppArmor for dockerd to load a profile into
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
mount --make-rshared /  # the kubelet mounts volumes for containers to see
"""


class Failed(Exception):
    """Something of the cluster did not come up. The text names what, the last it said, and where the rest is."""


def create(plan: Plan, host: Host) -> None:
    """Make the namespaces of `host` from nothing, on the disk that it may already have."""
    _format(plan, host)
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
    }
    enter = ("nsenter", f"--net={NAMESPACES / plan.netns(host)}")
    keep = ("unshare", f"--mount={folder / 'mnt'}", f"--uts={folder / 'uts'}", "--propagation=private")
    _run(f"making the host {host.name}", (*enter, *keep, "sh", "-ec", FURNISH), environment)


def command(
    plan: Plan, host: Host, argv: Sequence[str | Path], environment: Mapping[str, str], folder: str | Path | None = None
) -> list[str]:
    """`argv` with what makes it run on `host`, in the working directory `folder`, else in this one."""
    namespaces = plan.namespaces(host)
    return [
        *("nsenter", f"--net={NAMESPACES / plan.netns(host)}"),
        *(f"--mount={namespaces / 'mnt'}", f"--uts={namespaces / 'uts'}"),
        # nsenter would keep the working directory of the outer mount namespace, which is another /var there.
        *("env", f"--chdir={folder or os.getcwd()}", *(f"{key}={value}" for key, value in environment.items())),
        *map(str, argv),
    ]


def run(plan: Plan, host: Host, argv: Sequence[str | Path], environment: Mapping[str, str]) -> str:
    """What `argv` prints on `host`, in that environment alone; Failed if it fails.

    Not in the person's: in a shell of `dev env` its DOCKER_HOST and KUBECONFIG are another cluster's.
    """
    return _run(f"`{argv[0]}` on {host.name}", command(plan, host, argv, environment, folder="/"), environment)


def _run(what: str, argv: Sequence[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{what} failed: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout


def _format(plan: Plan, host: Host) -> None:
    """Lay out the disk of `host` unless it is there already."""
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
