"""Checks of the machine before anything starts."""

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping

from dev.cluster import inotify, network
from dev.cluster.host import PRIVATE_FOLDERS
from dev.cluster.plan import Plan
from dev.errors import RequirementError

TOOLS = {"nsenter": "util-linux", "unshare": "util-linux", "setsid": "util-linux", "mount": "mount", "env": "coreutils"}
"""Debian package of each command that the machine must have. The commands in `dev.packages` can be downloaded."""

MAX_SOCKET_PATH = 107
"""Bytes that Linux allows for the path of a socket."""

OVERLAY_CHECK = (
    'cd "$1" && mkdir upper work merged && mount -t overlay -o lowerdir=/etc,upperdir=upper,workdir=work overlay merged'
)
NFTABLES_CHECK = """
table ip probe {
    map addresses { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
    chain nat { type nat hook postrouting priority srcnat; masquerade random; }
}
"""


def check(plan: Plan) -> None:
    """Raise `RequirementError` for the first requirement that is not met. Create only the state folder.

    `check_nftables` is not included, because it needs the packages.
    """
    check_root()
    for tool, package in TOOLS.items():
        if not shutil.which(tool):
            raise RequirementError(
                f"The command `{tool}` is missing.",
                f"Install the package {package}, or set KUBECONFIG to a cluster of your own.",
            )
    _check_state_folder(plan)
    _check_kernel(plan)
    if not plan.run.is_mount() and not inotify.can_raise_limit() and not inotify.has_enough_free():
        raise RequirementError(
            f"Root can open fewer than {inotify.INSTANCES} more inotify instances, and may not raise the limit.",
            "Run `sysctl fs.inotify.max_user_instances=512` on the host of this container, stop another cluster, "
            "or set KUBECONFIG to a cluster of your own.",
        )
    network.check_owner(plan)
    network.check_addresses(plan)


def check_root() -> None:
    """Raise `RequirementError` if this is not Linux or the user is not root."""
    if platform.system() != "Linux":
        raise RequirementError(
            f"The embedded cluster needs Linux, but this machine runs {platform.system()}.",
            "Use a Linux machine, or set KUBECONFIG to a cluster of your own.",
        )
    if os.geteuid() != 0:
        raise RequirementError(
            "The embedded cluster needs root.",
            "Run the same command with sudo, or set KUBECONFIG to a cluster of your own.",
        )


def check_nftables(environment: Mapping[str, str]) -> None:
    """Raise `RequirementError` if the kernel lacks kube-proxy's features. `environment` has the PATH of `nft`."""
    if not _succeeds(["unshare", "--net", "nft", "--file", "-"], environment, NFTABLES_CHECK):
        raise RequirementError(
            "This kernel does not support nftables with NAT (nf_tables, nft_masq).",
            "Use Linux 5.13 or newer, or set KUBECONFIG to a cluster of your own.",
        )


def _check_state_folder(plan: Plan) -> None:
    for folder in PRIVATE_FOLDERS:
        if plan.state.is_relative_to(folder):
            raise RequirementError(
                f"The hosts of the cluster cannot see {plan.state}, because each host has its own {folder}.",
                f"Move the clone to a folder outside {folder}.",
            )
    if len(os.fsencode(plan.docker_socket)) > MAX_SOCKET_PATH:
        raise RequirementError(
            f"The path {plan.docker_socket} is longer than the {MAX_SOCKET_PATH} bytes that Linux allows for a socket.",
            "Move the clone to a shorter path.",
        )
    if set(str(plan.state)) & set(":,\\ \t\n"):
        raise RequirementError(
            f"The path {plan.state} contains whitespace, a colon, a comma or a backslash, which mount options forbid.",
            "Move the clone to a path without them.",
        )


def _check_kernel(plan: Plan) -> None:
    plan.state.mkdir(parents=True, exist_ok=True)
    if not _succeeds(["unshare", "--net", "--mount", "--uts", "true"]):
        raise RequirementError(
            "This machine does not allow new namespaces. It may be a container without privileges.",
            "Use another machine, or set KUBECONFIG to a cluster of your own.",
        )
    with tempfile.TemporaryDirectory(dir=plan.state) as folder:
        if not _succeeds(["unshare", "--mount", "sh", "-c", OVERLAY_CHECK, "sh", folder]):
            raise RequirementError(
                f"The file system of {plan.state} does not support overlayfs.",
                "Move the clone to an ext4 or xfs file system, or set KUBECONFIG to a cluster of your own.",
            )


def _succeeds(argv: list[str], environment: Mapping[str, str] | None = None, text: str = "") -> bool:
    return (
        subprocess.run(argv, env=environment, input=text, capture_output=True, text=True, check=False).returncode == 0
    )
