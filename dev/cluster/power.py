"""Turning the cluster on and off: what depends on what, and what may happen side by side.

`on` starts only what does not run, so it heals as well. `off` asks nothing about how things came to be: it takes
away whatever carries the cluster's name, and leaves the disks.
"""

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dev.cluster import cgroup, control_plane, host, images, laptop, network, node, process, status
from dev.cluster.api import Api
from dev.cluster.plan import HOSTS, NODES, Host, Plan
from dev.cluster.process import Daemon
from dev.cluster.programs import Programs

BUILT = "built"
"""Below the tmpfs: the hosts are whole. A killed `up` has left something else, which is taken away."""

CONTROLLERS = "controllers"
"""Below the tmpfs: those of cgroup v2 before the kubelets came."""


def on(plan: Plan, programs: Programs) -> None:
    """Bring up everything that is not up, and return when both nodes are Ready and pods are admitted."""
    if not _is_built(plan):
        off(plan)
        _build(plan)
    start = Start(plan, programs, Api(plan))
    with ThreadPoolExecutor() as pool:
        beside = [pool.submit(start.node, each) for each in NODES] + [pool.submit(start.docker)]
        start.control_plane()
        for each in beside:
            each.result()
    start.wait_for_nodes()


def off(plan: Plan) -> None:
    """End every process of the cluster, then take its control groups, namespaces, mounts and links away."""
    _on_all_hosts(lambda each: _shut_down(plan, each))
    for each in HOSTS:
        cgroup.remove(plan.cgroup(each))
    built = plan.at(network.owner(plan) or plan.state)
    if (controllers := built.run / CONTROLLERS).exists():
        cgroup.restore(set(controllers.read_text().split()))
    for run in {built.run, plan.run}:
        if run.is_mount():
            subprocess.run(["umount", "--recursive", "--lazy", run], check=True)
    network.remove(plan)


@dataclass(frozen=True)
class Start:
    """Starts the daemons, each when what it needs is there."""

    plan: Plan
    programs: Programs
    api: Api

    def control_plane(self) -> None:
        api_server = control_plane.api_server(self.plan)
        self._ensure(control_plane.etcd(self.plan))
        self._ensure(api_server)
        process.wait(self.plan, api_server, self.api.is_ready)
        # These give up at once, or wait for long, when the API does not know them yet.
        self._ensure(control_plane.controller_manager(self.plan))
        self._ensure(control_plane.scheduler(self.plan))
        for each in NODES:
            self._ensure(node.kube_proxy(self.plan, each))

    def node(self, each: Host) -> None:
        containerd = node.containerd(each, Path(self.programs.network_plugins))
        self._ensure(containerd)
        process.wait(self.plan, containerd, lambda: images.containerd_answers(self.plan, self.programs, each))
        images.load_into_node(self.plan, self.programs, each, images.of_nodes(self.programs))
        self._ensure(node.kubelet(self.plan, each))

    def docker(self) -> None:
        dockerd = laptop.dockerd(self.plan)
        self._ensure(laptop.containerd())
        self._ensure(dockerd)
        process.wait(self.plan, dockerd, lambda: laptop.dockerd_answers(self.plan))
        images.load_into_docker(self.plan, self.programs, images.of_docker(self.programs))

    def wait_for_nodes(self) -> None:
        for each in NODES:
            process.wait(self.plan, node.kubelet(self.plan, each), partial(self._is_ready, each))
        process.wait(self.plan, control_plane.controller_manager(self.plan), self.api.has_default_service_account)
        self.api.label_master()

    def _is_ready(self, each: Host) -> bool:
        return each.name in status.ready_nodes(self.plan)

    def _ensure(self, daemon: Daemon) -> None:
        process.start(self.plan, daemon, self.programs.environment)


def _is_built(plan: Plan) -> bool:
    return (plan.run / BUILT).exists() and network.owner(plan) == plan.state


def _build(plan: Plan) -> None:
    plan.run.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700", plan.link, plan.run], check=True)
    # A file that names a mount namespace must not be copied into that namespace.
    subprocess.run(["mount", "--make-private", plan.run], check=True)
    (plan.run / CONTROLLERS).write_text(" ".join(cgroup.controllers()))
    network.create(plan)
    for each in HOSTS:
        cgroup.create(plan.cgroup(each))
    _on_all_hosts(lambda each: host.create(plan, each))
    (plan.run / BUILT).touch()


def _shut_down(plan: Plan, each: Host) -> None:
    """Containers first, while nobody starts them again; then what has data to write; then all that is left."""
    group = plan.cgroup(each)
    for stateless in ("kubelet", "kube-apiserver"):
        process.stop(plan, each, stateless, grace=0)
    for containers in ("kubepods", "docker"):
        cgroup.end(group / containers, grace=1)
    for name in ("etcd", "dockerd", "containerd"):
        process.stop(plan, each, name)
    cgroup.end(group, grace=0)


def _on_all_hosts(act: Callable[[Host], None]) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(act, HOSTS))
