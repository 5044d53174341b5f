"""Start and stop of the cluster: the order of the steps, and which of them run in parallel.

`start` starts only daemons that do not run, so it also repairs a cluster. `stop` removes every kernel object with the
cluster's name, whatever created it, and keeps the disks.
"""

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dev.cluster import cgroup, control_plane, images, laptop, network, process, status
from dev.cluster import host as hosts
from dev.cluster import node as nodes
from dev.cluster.api import Api
from dev.cluster.plan import HOSTS, NODES, Host, Plan
from dev.cluster.process import Daemon
from dev.cluster.programs import Programs

BUILT_MARKER = "built"
"""File of the tmpfs that marks complete hosts. Without it, `start` removes the leftovers of a killed `up`."""

CONTROLLERS_FILE = "controllers"
"""File of the tmpfs with the controllers of cgroup v2 before the kubelets started."""


def start(plan: Plan, programs: Programs) -> None:
    """Start the daemons that do not run. Return when both nodes are Ready and Pods are admitted."""
    if not _is_built(plan):
        stop(plan)
        _build(plan)
    startup = Startup(plan, programs, Api(plan))
    with ThreadPoolExecutor() as pool:
        tasks = [pool.submit(startup.start_node, node) for node in NODES] + [pool.submit(startup.start_docker)]
        startup.start_control_plane()
        for task in tasks:
            task.result()
    startup.wait_for_nodes()


def stop(plan: Plan) -> None:
    """End all daemons and their processes, then remove the control groups, namespaces, mounts and links."""
    _on_all_hosts(lambda host: _stop_host(plan, host))
    for host in HOSTS:
        cgroup.remove(plan.cgroup(host))
    # A clone that was deleted meanwhile may have started the cluster, with another state folder.
    running = plan.with_state(network.find_owner(plan) or plan.state)
    if (controllers := running.run / CONTROLLERS_FILE).exists():
        cgroup.restore_controllers(set(controllers.read_text().split()))
    for run in {running.run, plan.run}:
        if run.is_mount():
            subprocess.run(["umount", "--recursive", "--lazy", run], check=True)
    network.remove(plan)


@dataclass(frozen=True)
class Startup:
    """The start of the daemons. Each daemon starts when the daemons that it needs are ready."""

    plan: Plan
    programs: Programs
    api: Api

    def start_control_plane(self) -> None:
        api_server = control_plane.define_api_server(self.plan)
        self._ensure_running(control_plane.define_etcd(self.plan))
        self._ensure_running(api_server)
        process.wait_until_ready(self.plan, api_server, self.api.is_ready)
        # If the API server did not answer, these daemons would end at once or retry for long.
        self._ensure_running(control_plane.define_controller_manager(self.plan))
        self._ensure_running(control_plane.define_scheduler(self.plan))
        for node in NODES:
            self._ensure_running(nodes.define_kube_proxy(self.plan, node))

    def start_node(self, node: Host) -> None:
        containerd = nodes.define_containerd(self.plan, node, Path(self.programs.network_plugins))
        self._ensure_running(containerd)
        is_ready = partial(images.is_containerd_ready, self.plan, self.programs, node)
        process.wait_until_ready(self.plan, containerd, is_ready)
        images.load_into_node(self.plan, self.programs, node, images.required_node_images(self.programs))
        self._ensure_running(nodes.define_kubelet(self.plan, node))

    def start_docker(self) -> None:
        dockerd = laptop.define_dockerd(self.plan)
        self._ensure_running(laptop.define_containerd())
        self._ensure_running(dockerd)
        process.wait_until_ready(self.plan, dockerd, lambda: laptop.is_dockerd_ready(self.plan))
        images.load_into_docker(self.plan, self.programs, images.required_docker_images(self.programs))

    def wait_for_nodes(self) -> None:
        for node in NODES:
            process.wait_until_ready(self.plan, nodes.define_kubelet(self.plan, node), partial(self._is_ready, node))
        process.wait_until_ready(
            self.plan, control_plane.define_controller_manager(self.plan), self.api.has_default_service_account
        )
        self.api.label_master()

    def _is_ready(self, node: Host) -> bool:
        return node.name in status.find_ready_nodes(self.plan)

    def _ensure_running(self, daemon: Daemon) -> None:
        process.start(self.plan, daemon, self.programs.environment)


def _is_built(plan: Plan) -> bool:
    return (plan.run / BUILT_MARKER).exists() and network.find_owner(plan) == plan.state


def _build(plan: Plan) -> None:
    plan.run.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700", plan.link, plan.run], check=True)
    # `unshare --mount=FILE` fails on a shared mount: the namespace would contain a mount of itself.
    subprocess.run(["mount", "--make-private", plan.run], check=True)
    (plan.run / CONTROLLERS_FILE).write_text(" ".join(cgroup.read_controllers()))
    network.create(plan)
    for host in HOSTS:
        cgroup.create(plan.cgroup(host))
    _on_all_hosts(lambda host: hosts.create(plan, host))
    (plan.run / BUILT_MARKER).touch()


def _stop_host(plan: Plan, host: Host) -> None:
    """Stop the daemons of `host`, and all processes that they have started.

    The kubelet ends before the containers, because it would restart them. The daemons that write data get time to end.
    """
    group = plan.cgroup(host)
    for stateless in ("kubelet", "kube-apiserver"):
        process.stop(plan, host, stateless, grace=0)
    for containers in ("kubepods", "docker"):
        cgroup.terminate(group / containers, grace=1)
    for name in ("etcd", "dockerd", "containerd"):
        process.stop(plan, host, name)
    cgroup.terminate(group, grace=0)


def _on_all_hosts(action: Callable[[Host], None]) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(action, HOSTS))
