"""What the machine must offer, asked before anything starts: each answer that is no is one line with a remedy."""

import ctypes
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping

from dev.cluster import network
from dev.cluster.host import HIDDEN
from dev.cluster.plan import Plan
from dev.console import Unmet

OWN_CLUSTER = "or set KUBECONFIG to a cluster of your own"
TOOLS = {"nsenter": "util-linux", "unshare": "util-linux", "setsid": "util-linux", "mount": "mount", "env": "coreutils"}
SOCKET_LENGTH = 107
"""Linux allows no longer path for a socket."""

WATCHERS = 32
"""inotify instances that its daemons open, 25 of them at its start. Without one kube-proxy or a kubelet just ends."""

OVERLAY = (
    'cd "$1" && mkdir upper work merged && mount -t overlay -o lowerdir=/etc,upperdir=upper,workdir=work overlay merged'
)
TRANSLATION = """
table ip probe {
    map addresses { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
    chain nat { type nat hook postrouting priority srcnat; masquerade random; }
}
"""


def check(plan: Plan) -> None:
    """Raise Unmet for the first thing that is missing. Nothing is started, and nothing of the machine changes."""
    check_root()
    for tool, package in TOOLS.items():
        if not shutil.which(tool):
            raise Unmet(f"`{tool}` is missing: install the package {package}, {OWN_CLUSTER}.")
    _check_place(plan)
    _check_kernel(plan)
    if not plan.run.is_mount() and (left := spare_watchers(WATCHERS)) < WATCHERS:
        raise Unmet(
            f"Root may watch files {left} times more, a cluster does {WATCHERS} times: end another cluster,"
            f" or `sysctl fs.inotify.max_user_instances=512`, {OWN_CLUSTER}."
        )
    network.check_owner(plan)
    network.check_addresses(plan)


def check_root() -> None:
    """Raise Unmet unless this is Linux, and root."""
    if platform.system() != "Linux":
        raise Unmet(
            f"The embedded cluster needs Linux, this is {platform.system()}: use a Linux machine, {OWN_CLUSTER}."
        )
    if os.geteuid() != 0:
        raise Unmet(f"The embedded cluster needs root: run the same command with sudo, {OWN_CLUSTER}.")


def check_nftables(environment: Mapping[str, str]) -> None:
    """Raise Unmet unless the kernel can do what kube-proxy asks of it, with the `nft` of `environment`."""
    if not _works(["unshare", "--net", "nft", "--file", "-"], environment, TRANSLATION):
        raise Unmet(
            f"This kernel lacks nftables with NAT (nf_tables, nft_masq): use Linux 5.13 or newer, {OWN_CLUSTER}."
        )


def _check_place(plan: Plan) -> None:
    for hidden in HIDDEN:
        if plan.state.is_relative_to(hidden):
            raise Unmet(f"{plan.state} is not seen by the hosts, which have a {hidden} of their own: clone elsewhere.")
    if len(os.fsencode(plan.docker_socket)) > SOCKET_LENGTH:
        raise Unmet(
            f"{plan.docker_socket} is too long for a socket (at most {SOCKET_LENGTH}): clone to a shorter path."
        )
    if set(str(plan.state)) & set(":,\\ \t\n"):
        raise Unmet(f"{plan.state} has a character that mount options cannot carry: clone to a path without it.")


def _check_kernel(plan: Plan) -> None:
    plan.state.mkdir(parents=True, exist_ok=True)
    if not _works(["unshare", "--net", "--mount", "--uts", "true"]):
        raise Unmet(
            f"Namespaces cannot be made here (a container without privileges?): use a machine that may, {OWN_CLUSTER}."
        )
    with tempfile.TemporaryDirectory(dir=plan.state) as folder:
        if not _works(["unshare", "--mount", "sh", "-c", OVERLAY, "sh", folder]):
            raise Unmet(
                f"overlayfs does not work on the disk of {plan.state}: clone to an ext4 or xfs disk, {OWN_CLUSTER}."
            )


def spare_watchers(wanted: int) -> int:
    """Return how many inotify instances this user may still open, up to `wanted`."""
    opened = [each for each in (ctypes.CDLL(None).inotify_init() for _ in range(wanted)) if each >= 0]
    for each in opened:
        os.close(each)
    return len(opened)


def _works(argv: list[str], environment: Mapping[str, str] | None = None, text: str = "") -> bool:
    return (
        subprocess.run(argv, env=environment, input=text, capture_output=True, text=True, check=False).returncode == 0
    )
