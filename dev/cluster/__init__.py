"""A real two-node Kubernetes and a laptop with a Docker engine, on one Linux machine: the embedded cluster.

    plan            hosts, addresses, names
    requirements    what the machine must offer
    programs        what runs, and where it is
    authority       a certificate authority
    pki             certificates and kubeconfigs
    network         a switch, links, addresses, routes
    host            the namespaces that make a host
    cgroup          which process belongs to which host
    process         daemons: start, wait, stop
    control_plane   etcd, API server, controller manager, scheduler
    node            containerd, kubelet, kube-proxy
    laptop          dockerd
    archive         image files, written by hand
    images          which images there are, and loading them
    api             what `up` asks the API server
    power           on and off: the order of things
    status          what runs and what is Ready

It is a cluster to develop against and to test on. It has no way to the internet, no high availability, no DNS for
pods, and does not outlive a reboot other than by the next `up`.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dev import cache
from dev.cluster import host as hosts
from dev.cluster import images, network, pki, power, programs, requirements, status
from dev.cluster.host import Failed
from dev.cluster.plan import HOSTS, NODES, Host, Plan
from dev.cluster.status import Status
from dev.console import step

__all__ = ["Cluster", "Failed", "Status"]


class Cluster:
    """The cluster of one state folder; several live side by side if their names differ."""

    def __init__(self, state: Path, name: str = "dev", isolated: bool = False, stock_periods: bool = False) -> None:
        """Nothing happens yet. An isolated cluster is out of this machine's reach but for `run`."""
        self.plan = Plan(name, state.resolve(), isolated, stock_periods)

    @property
    def hosts(self) -> tuple[Host, ...]:
        return HOSTS

    @property
    def kubeconfig(self) -> Path:
        """The administrator's; its server is an address that this machine reaches unless the cluster is isolated."""
        return self.plan.pki / "admin.conf"

    @property
    def docker_host(self) -> str:
        """DOCKER_HOST of the laptop's engine, for this machine and for the laptop."""
        return f"unix://{self.plan.docker_socket}"

    @property
    def is_isolated(self) -> bool:
        return self.plan.isolated

    def search_path(self, person: str) -> str:
        """PATH for a person: the cluster's kubectl in front, its unpacked commands behind what they have."""
        found = programs.recall(self._memory)
        return found.environment_of({"PATH": person})["PATH"] if found else person

    def check(self) -> None:
        """Raise Unmet if the cluster cannot be here. Nothing starts."""
        requirements.check(self.plan)

    def up(self) -> None:
        """Bring it up, or what is missing of it. However this is interrupted, the next `up` completes it."""
        self.check()
        with self._alone():
            found = programs.provide(self._memory)
            requirements.check_nftables(found.environment)
            cache.folder(self.plan.pki, pki.write)
            power.on(self.plan, found)

    def down(self) -> None:
        """Stop everything and leave the machine as it was. The disks stay: the next `up` finds all objects again."""
        with self._alone():
            self._off()

    def wipe(self) -> None:
        """Down, and the disks are gone too."""
        with self._alone():
            self._off()
            shutil.rmtree(self.plan.state)

    def status(self) -> Status:
        return status.of(self.plan)

    def run(self, host: str, argv: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[Any]:
        """`subprocess.run(argv, **options)` on `host`, with the cluster's programs on PATH."""
        return subprocess.run(self.command(host, argv, options.pop("cwd", None), options.get("env")), **options)

    def command(
        self, host: str, argv: Sequence[str | Path], cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> list[str]:
        """What runs `argv` on `host` when it is run here, in `cwd`, else in the working directory of now."""
        found = programs.recall(self._memory)
        environment = found.environment_of(os.environ if env is None else env) if found else {}
        return hosts.command(self.plan, self._host(host), argv, environment, cwd)

    def path(self, host: str, path: str) -> Path:
        """Where a file of `host` lies on this machine."""
        return self.plan.path(self._host(host), path)

    def hosts_entry(self, host: str, ip: str, name: str) -> None:
        """Have `host` know `name` as `ip`, in its own /etc/hosts, instead of what it knew before."""
        known = self.run(host, ["cat", "/etc/hosts"], check=True, capture_output=True, text=True).stdout.splitlines()
        kept = [line for line in known if name not in line.split()[1:]]
        text = "\n".join([*kept, f"{ip} {name}", ""])
        self.run(host, ["tee", "/etc/hosts"], check=True, input=text, stdout=subprocess.DEVNULL, text=True)

    def load_registry(self, version: str, program: Path) -> None:
        """Give both nodes `registry:VERSION`, made of another `program` than the one that comes with the cluster."""
        found = programs.provide(self._memory)
        image = images.registry(Path(found.busybox), program, version)
        for node in NODES:
            images.load_into_node(self.plan, found, node, [image])

    def _off(self) -> None:
        requirements.check_root()
        network.check_owner(self.plan)
        power.off(self.plan)

    @property
    def _memory(self) -> Path:
        return self.plan.state / "programs.json"

    def _host(self, name: str) -> Host:
        return next(host for host in HOSTS if host.name == name)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One `up` or `down` at a time; the kernel lets go of the lock however this process ends."""
        self.plan.state.mkdir(parents=True, exist_ok=True)
        with self.plan.lock.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with step("another `up` or `down` of this cluster ended"):
                    fcntl.flock(lock, fcntl.LOCK_EX)
            yield
