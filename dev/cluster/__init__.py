"""The embedded cluster: a two-node Kubernetes and a laptop with a Docker engine, on one Linux machine.

    plan            hosts, addresses, names of kernel objects
    requirements    checks of the machine
    inotify         the machine's limit of inotify instances
    programs        paths of the programs
    authority       a certificate authority
    pki             certificates and kubeconfigs
    network         a switch, links, addresses, routes
    host            the namespaces of a host
    cgroup          the control group of a host
    process         start, stop and wait for daemons
    control_plane   etcd, API server, controller manager, scheduler
    node            containerd, kubelet, kube-proxy
    laptop          containerd, dockerd
    archive         image archives
    images          the images of the cluster
    api             requests to the API server
    lifecycle       start and stop of the cluster
    status          running daemons and Ready nodes

The cluster is for development and tests. It has no internet access, no high availability and no DNS for Pods. After
a reboot the next `up` starts it again.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dev import cache, packages
from dev.cluster import host as hosts
from dev.cluster import images, inotify, lifecycle, network, pki, programs, requirements, status
from dev.cluster.archive import Image
from dev.cluster.plan import HOSTS, NODES, Host, Plan
from dev.cluster.status import Status
from dev.console import step
from dev.toolchain.build import build_program

__all__ = ["Cluster", "Status"]


class Cluster:
    """The cluster of a state folder. Clusters with different names can run at the same time."""

    def __init__(self, state: Path, name: str = "dev", isolated: bool = False, default_periods: bool = False) -> None:
        """Plan the cluster. If it is isolated, this machine reaches its network only through commands on its hosts."""
        self.plan = Plan(name, state.resolve(), isolated, default_periods)

    @property
    def hosts(self) -> tuple[Host, ...]:
        return HOSTS

    @property
    def kubeconfig(self) -> Path:
        """Path of the administrator's kubeconfig. This machine reaches its server unless the cluster is isolated."""
        return self.plan.pki / "admin.conf"

    @property
    def docker_host(self) -> str:
        """DOCKER_HOST of the laptop's engine. It works on this machine and on the laptop."""
        return f"unix://{self.plan.docker_socket}"

    @property
    def is_isolated(self) -> bool:
        return self.plan.isolated

    def search_path(self, user_path: str) -> str:
        """Return the user's PATH with the cluster's kubectl before it and the unpacked commands after it."""
        saved_programs = programs.read_saved_programs(self._programs_file)
        return saved_programs.add_to_environment({"PATH": user_path})["PATH"] if saved_programs else user_path

    def check(self) -> None:
        """Raise `RequirementError` if the cluster cannot run on this machine. Start no part of it."""
        requirements.check(self.plan)

    def up(self) -> None:
        """Start the cluster, or those parts that do not run. After an interruption the next `up` completes it."""
        self.check()
        with self._locked():
            cluster_programs = programs.provide_programs(self._programs_file)
            requirements.check_nftables(cluster_programs.environment)
            cache.ensure_folder(self.plan.pki, pki.create_pki)
            inotify.raise_limit_if_needed()
            lifecycle.start(self.plan, cluster_programs)

    def down(self) -> None:
        """Stop the cluster and undo its changes to the machine. Keep the disks for the next `up`."""
        with self._locked():
            self._stop()

    def wipe(self) -> None:
        """Stop the cluster and delete its state folder."""
        with self._locked():
            self._stop()
            shutil.rmtree(self.plan.state)

    def status(self) -> Status:
        return status.read_status(self.plan)

    def run(self, host: str, argv: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[Any]:
        """Call `subprocess.run(argv, **options)` on `host`, with the cluster's programs on PATH."""
        return subprocess.run(self.command(host, argv, options.pop("cwd", None), options.get("env")), **options)

    def command(
        self, host: str, argv: Sequence[str | Path], cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> list[str]:
        """Return the command that runs `argv` on `host`, in the working directory `cwd` (default: the current one)."""
        saved_programs = programs.read_saved_programs(self._programs_file)
        environment = saved_programs.add_to_environment(os.environ if env is None else env) if saved_programs else {}
        return hosts.command(self.plan, self._find_host(host), argv, environment, cwd)

    def path(self, host: str, path: str) -> Path:
        """Return the path on this machine of a file of `host`."""
        return self.plan.path(self._find_host(host), path)

    def set_hosts_entry(self, host: str, ip: str, name: str) -> None:
        """Resolve `name` to `ip` on `host`: add a line to /etc/hosts, and remove the other lines with `name`."""
        lines = self.run(host, ["cat", "/etc/hosts"], check=True, capture_output=True, text=True).stdout.splitlines()
        other_lines = [line for line in lines if name not in line.split()[1:]]
        text = "\n".join([*other_lines, f"{ip} {name}", ""])
        self.run(host, ["tee", "/etc/hosts"], check=True, input=text, stdout=subprocess.DEVNULL, text=True)

    def load_registry(self, version: str, program: Path) -> None:
        """Load the image `registry:VERSION` into both nodes, with `program` as its registry."""
        self._load_into_nodes(lambda busybox: images.create_registry_image(busybox, program, version))

    def load_haproxy(self) -> None:
        """Load an image of HAProxy, the proxy of the access rules, into both nodes."""
        self._load_into_nodes(lambda busybox: images.create_haproxy_image(busybox, packages.provide_haproxy()))

    def load_python(self) -> None:
        """Load an image of Python, which the maintenance jobs need, into both nodes."""
        self._load_into_nodes(images.create_python_image)

    def load_regsync(self) -> None:
        """Load an image of regsync, which copies a backup, into both nodes. Build the tool if the cache lacks it."""
        program = build_program("regsync") / "regsync"
        self._load_into_nodes(lambda busybox: images.create_regsync_image(busybox, program))

    def _load_into_nodes(self, create_image: Callable[[Path], Image]) -> None:
        """Load the image of a function, whose argument is the path of busybox, into both nodes."""
        cluster_programs = programs.provide_programs(self._programs_file)
        image = create_image(Path(cluster_programs.busybox))
        for node in NODES:
            images.load_into_node(self.plan, cluster_programs, node, [image])

    def _stop(self) -> None:
        requirements.check_root()
        network.check_owner(self.plan)
        lifecycle.stop(self.plan)
        inotify.restore_limit()

    @property
    def _programs_file(self) -> Path:
        return self.plan.state / "programs.json"

    def _find_host(self, name: str) -> Host:
        return next(host for host in HOSTS if host.name == name)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the cluster's lock, for one `up` or `down` at a time. The kernel releases it when this process ends."""
        self.plan.state.mkdir(parents=True, exist_ok=True)
        with self.plan.lock.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with step("waited for another `up` or `down` of this cluster"):
                    fcntl.flock(lock, fcntl.LOCK_EX)
            yield
