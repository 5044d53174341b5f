"""What the cluster looks like: its hosts, their addresses, and the name of every object it makes in the kernel.

Pure values: nothing here touches the machine. All names derive from the cluster's, so that two clusters run side by
side and `down` finds what a killed `up` left behind.
"""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

NETWORK = "192.168.56.0/24"
MACHINE = "192.168.56.1"
"""This machine's own address: what a person types here reaches the nodes as from a laptop."""

PODS = "10.244.0.0/16"
SERVICES = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"

VOLUMES = ("/var", "/etc/cni", "/etc/containerd", "/etc/containers", "/etc/docker", "/etc/kubernetes")
"""Folders that a host has for itself, under the state folder; the rest of /etc is the machine's, copied on write."""


@dataclass(frozen=True)
class Host:
    """A host of the cluster; it is a node if it has addresses for pods."""

    name: str
    address: str
    pods: str = ""


MASTER = Host("k8s-master", "192.168.56.10", "10.244.1.0/24")
WORKER = Host("k8s-worker", "192.168.56.11", "10.244.2.0/24")
LAPTOP = Host("laptop", "192.168.56.2")
NODES = (MASTER, WORKER)
HOSTS = (*NODES, LAPTOP)


@dataclass(frozen=True)
class Plan:
    """One cluster: a name, and the one folder with everything that it keeps."""

    name: str
    state: Path
    isolated: bool = False
    stock_periods: bool = False
    """Whether Kubernetes' own periods apply: a changed file reaches a Pod, and a lost node is noticed, in a minute."""

    def __post_init__(self) -> None:
        # The name goes into that of a network link, which Linux cuts at 15 characters.
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,10}", self.name):
            raise ValueError(f"`name` must be at most 11 of a-z, 0-9 and -, such as `dev`, got {self.name!r}.")

    @property
    def link(self) -> str:
        """The link that makes this machine a neighbour of the hosts; its other end is a port of the switch."""
        return f"pr-{self.name}"

    @property
    def switch(self) -> str:
        """The network namespace of the bridge that all hosts hang on."""
        return f"pr-{self.name}-switch"

    def netns(self, host: Host) -> str:
        return f"pr-{self.name}-{host.name}"

    def cgroup(self, host: Host) -> PurePosixPath:
        """The control group that everything which runs on `host` is below."""
        return PurePosixPath(f"/pr-{self.name}-{host.name}")

    @property
    def run(self) -> Path:
        """A tmpfs: namespaces, process records, the Docker socket. It forgets at a reboot, as the kernel does."""
        return self.state / "run"

    @property
    def lock(self) -> Path:
        """Held while the cluster is being changed; there as long as the state folder is somebody's."""
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

    def at(self, state: Path) -> "Plan":
        """The cluster of this name in another state folder."""
        return replace(self, state=state)

    def disk(self, host: Host) -> Path:
        """What `host` writes: it outlives `down`."""
        return self.state / "hosts" / host.name

    def namespaces(self, host: Host) -> Path:
        return self.run / host.name

    def log(self, host: Host, daemon: str) -> Path:
        return self.state / "logs" / host.name / f"{daemon}.log"

    def record(self, host: Host, daemon: str) -> Path:
        return self.run / host.name / f"{daemon}.pid"

    def path(self, host: Host, path: str) -> Path:
        """Where the file that `host` knows as `path` lies on this machine."""
        normal = os.path.normpath(path)
        if not any(PurePosixPath(normal).is_relative_to(volume) for volume in VOLUMES):
            raise ValueError(
                f"`path` must lie under one of {', '.join(VOLUMES)}, got {path!r}: no other is a host's own."
            )
        return self.disk(host) / normal.lstrip("/")
