"""The status of the cluster: running daemons and Ready nodes. This module only reads."""

from collections.abc import Mapping
from dataclasses import dataclass

from dev.cluster import process
from dev.cluster.api import Api
from dev.cluster.plan import LAPTOP, MASTER, NODES, Plan

DAEMONS = (
    *((MASTER, daemon) for daemon in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")),
    *((node, daemon) for node in NODES for daemon in ("containerd", "kubelet", "kube-proxy")),
    *((LAPTOP, daemon) for daemon in ("containerd", "dockerd")),
)
"""Daemons that run if the cluster is up."""


@dataclass(frozen=True)
class Status:
    """Whether each daemon runs, by `host/daemon`, and whether each node is Ready."""

    daemons: Mapping[str, bool]
    nodes: Mapping[str, bool]

    @property
    def is_up(self) -> bool:
        return all(self.daemons.values()) and all(self.nodes.values())


def read_status(plan: Plan) -> Status:
    ready = find_ready_nodes(plan)
    return Status(
        {f"{host.name}/{name}": process.is_running(plan, host, name) for host, name in DAEMONS},
        {node.name: node.name in ready for node in NODES},
    )


def find_ready_nodes(plan: Plan) -> set[str]:
    """Return the nodes that are Ready. The API server reports a node without kubelet as Ready for a while."""
    running = [node for node in NODES if process.is_running(plan, node, "kubelet")]
    return Api(plan).ready_nodes({node.name: plan.record(node, "kubelet").stat().st_mtime for node in running})
