"""What runs and what is Ready, asked without changing anything."""

from collections.abc import Mapping
from dataclasses import dataclass

from dev.cluster import process
from dev.cluster.api import Api
from dev.cluster.plan import LAPTOP, MASTER, NODES, Plan

DAEMONS = (
    *((MASTER, daemon) for daemon in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")),
    *((each, daemon) for each in NODES for daemon in ("containerd", "kubelet", "kube-proxy")),
    *((LAPTOP, daemon) for daemon in ("containerd", "dockerd")),
)
"""Everything that runs when the cluster is up."""


@dataclass(frozen=True)
class Status:
    """Which daemons run, by `host/daemon`, and which nodes are Ready."""

    daemons: Mapping[str, bool]
    nodes: Mapping[str, bool]

    @property
    def is_up(self) -> bool:
        return all(self.daemons.values()) and all(self.nodes.values())


def of(plan: Plan) -> Status:
    ready = ready_nodes(plan)
    return Status(
        {f"{host.name}/{name}": process.running(plan, host, name) for host, name in DAEMONS},
        {node.name: node.name in ready for node in NODES},
    )


def ready_nodes(plan: Plan) -> set[str]:
    """The nodes that are Ready: not those whose kubelet is gone, of which the API believes it for a while."""
    running = [each for each in NODES if process.running(plan, each, "kubelet")]
    return Api(plan).ready_nodes({each.name: plan.record(each, "kubelet").stat().st_mtime for each in running})
