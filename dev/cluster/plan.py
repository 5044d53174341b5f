"""The plan of a cluster: its hosts, addresses and paths, and the names of its objects in the kernel.

This module only computes values. All names in the kernel contain the cluster's name, so two clusters can run at the
same time, and `down` finds the leftovers of a killed `up`.
"""

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from dev.errors import RequirementError

NETWORK = "192.168.56.0/24"
MACHINE = "192.168.56.1"
"""Address of this machine in the cluster's network."""

PODS, PODS_IPV6 = "10.244.0.0/16", "fd00:10:244::/56"
SERVICES, SERVICES_IPV6 = "10.96.0.0/16", "fd00:10:96::/112"
NETWORK_IPV6 = "fd00:192:168:56::/64"
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"

VOLUMES = ("/var", "/etc/cni", "/etc/containerd", "/etc/containers", "/etc/docker", "/etc/kubernetes")
"""Folders that each host has in the state folder. The rest of /etc is an overlay on that of the machine."""

CONTAINERD_CERTIFICATES, DOCKER_CERTIFICATES = "/etc/containerd/certs.d", "/etc/docker/certs.d"
"""Folders that containerd and Docker search for the CA of a registry."""


@dataclass(frozen=True)
class Host:
    """A host of the cluster. `pods` is the subnet of a node's Pods, or "" if the host is not a node."""

    name: str
    address: str
    ipv6: str
    pods: str = ""
    pods_ipv6: str = ""


MASTER = Host("k8s-master", "192.168.56.10", "fd00:192:168:56::10", "10.244.1.0/24", "fd00:10:244:1::/64")
WORKER = Host("k8s-worker", "192.168.56.11", "fd00:192:168:56::11", "10.244.2.0/24", "fd00:10:244:2::/64")
LAPTOP = Host("laptop", "192.168.56.2", "fd00:192:168:56::2")
NODES = (MASTER, WORKER)
HOSTS = (*NODES, LAPTOP)

PREFIX = "pr-"
"""Prefix of the names of namespaces, links and control groups."""


def has_ipv6() -> bool:
    """Return whether links of this machine have IPv6 from their creation."""
    switch = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")
    return switch.exists() and switch.read_text().strip() == "0"


@dataclass(frozen=True)
class Plan:
    """A cluster: its name, and the folder with its state."""

    name: str
    state: Path
    isolated: bool = False
    """Whether this machine has no address in the cluster's network."""
    default_periods: bool = False
    """Whether Kubernetes' default periods apply. A changed Secret or a lost node is then noticed after a minute."""
    dual_stack: bool = field(default_factory=has_ipv6)
    """Whether nodes, Pods and Services can have addresses of IPv6 too. A Service has one of IPv4 by default."""

    def __post_init__(self) -> None:
        # The name of a network link contains it, and Linux limits that to 15 characters.
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,10}", self.name):
            raise RequirementError(
                f"The cluster name {self.name!r} is invalid.",
                "Use a letter followed by at most 10 of a-z, 0-9 and -, for example `dev`.",
            )

    @property
    def link(self) -> str:
        """Name of the link between this machine and the switch."""
        return f"{PREFIX}{self.name}"

    @property
    def switch(self) -> str:
        """Name of the network namespace with the bridge that connects all hosts."""
        return f"{PREFIX}{self.name}-switch"

    def families(self, ipv4: str, ipv6: str) -> tuple[str, ...]:
        """Return the addresses or networks of the families that the cluster has."""
        return (ipv4, ipv6) if self.dual_stack else (ipv4,)

    @property
    def pods(self) -> str:
        """Networks of the Pods, as the daemons of Kubernetes take them."""
        return ",".join(self.families(PODS, PODS_IPV6))

    @property
    def services(self) -> str:
        """Networks of the Services, as the daemons of Kubernetes take them."""
        return ",".join(self.families(SERVICES, SERVICES_IPV6))

    def netns(self, host: Host) -> str:
        return f"{PREFIX}{self.name}-{host.name}"

    def cgroup(self, host: Host) -> PurePosixPath:
        """Return the control group of all processes of `host`."""
        return PurePosixPath(f"/{PREFIX}{self.name}-{host.name}")

    @property
    def run(self) -> Path:
        """Mount point of a tmpfs with the namespaces, process records and the Docker socket."""
        return self.state / "run"

    @property
    def lock(self) -> Path:
        """File that is locked while the cluster changes. It exists from the first `up` until `wipe`."""
        return self.state / "lock"

    @property
    def docker_socket(self) -> Path:
        return self.run / "docker.sock"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def images(self) -> Path:
        return self.state / "images"

    def with_state(self, state: Path) -> "Plan":
        """Return the plan of the cluster with this name in another state folder."""
        return replace(self, state=state)

    def disk(self, host: Host) -> Path:
        """Return the folder with the files of `host`. It survives `down`."""
        return self.state / "hosts" / host.name

    def namespaces(self, host: Host) -> Path:
        return self.run / host.name

    def log(self, host: Host, daemon: str) -> Path:
        return self.state / "logs" / host.name / f"{daemon}.log"

    def record(self, host: Host, daemon: str) -> Path:
        """Return the file with the PID of a daemon and the fingerprint of its configuration."""
        return self.run / host.name / f"{daemon}.pid"

    def path(self, host: Host, path: str) -> Path:
        """Return the path on this machine of the file `path` of `host`. Raise `ValueError` outside of `VOLUMES`."""
        normal = os.path.normpath(path)
        if not any(PurePosixPath(normal).is_relative_to(volume) for volume in VOLUMES):
            raise ValueError(f"{path!r} is not below one of the folders of a host: {', '.join(VOLUMES)}")
        return self.disk(host) / normal.lstrip("/")
