"""Parts of Pods that the registry, its maintenance jobs and the agents of NodeTrust share."""

import hashlib
from asyncio import ensure_future
from typing import cast

import pulumi
from pulumi_kubernetes.core.v1 import (
    ContainerArgsDict,
    PodSecurityContextArgsDict,
    PodSpecArgsDict,
    Secret,
    SecurityContextArgsDict,
    TolerationArgsDict,
    VolumeArgsDict,
)
from pulumi_kubernetes.networking.v1 import NetworkPolicyPeerArgsDict

from .settings import WorkloadSettings

NO_PRIVILEGES: SecurityContextArgsDict = {
    "allow_privilege_escalation": False,
    "capabilities": {"drop": ["ALL"]},
    "read_only_root_filesystem": True,
}
"""Security context of a container without capabilities, on a read-only file system."""

ANY_POD: NetworkPolicyPeerArgsDict = {"namespace_selector": {}}
"""Every Pod of every namespace, as the peer of a NetworkPolicy."""

CONFIG_CHECKSUM = "checksum/config"
"""Annotation of Pods: a checksum of the files that their program reads only at its start.

A change of it replaces the Pods. Helm charts use the same key."""

CONTROL_PLANE: TolerationArgsDict = {
    "key": "node-role.kubernetes.io/control-plane",
    "operator": "Exists",
    "effect": "NoSchedule",
}
"""Toleration for control planes: the guide's node is one, and so are all nodes of many small clusters."""

LOST_NODE_TAINTS = {"node.kubernetes.io/not-ready": 30, "node.kubernetes.io/unreachable": 0}
"""Seconds before a replica is replaced, if its images are not on its node, by the taint of that node.

A kubelet reports at once that its node is not ready, for example while the container runtime restarts. A node is
unreachable if its kubelet has been silent for 50 seconds (kube-controller-manager, --node-monitor-grace-period).
"""


def checksum(content: object) -> str:
    """Return a SHA-256 checksum for an annotation. A change of the annotation replaces the Pods."""
    return hashlib.sha256(repr(content).encode()).hexdigest()


def uid_of(secret: Secret) -> pulumi.Output[str | None]:
    """Return the UID of a Secret, or None before its creation, as an output that does not depend on the Secret.

    A Secret is deleted to be replaced. The engine would delete a Deployment too if its spec depended on the Secret.
    """
    return pulumi.Output.from_input(ensure_future(secret.metadata.uid.future()))


def own_tolerations(settings: WorkloadSettings, *, is_pinned: bool) -> list[TolerationArgsDict]:
    """Return the tolerations that the component sets: for a control plane, and for a node that is lost.

    A bare Pod on a lost node stays, because its deletion would be for good. A Pod that is pinned to the node of
    its images stays, because it cannot run elsewhere. Any other Pod is replaced after some seconds.
    """
    tolerations: list[TolerationArgsDict] = [
        {"key": taint, "operator": "Exists", "effect": "NoExecute"} for taint in LOST_NODE_TAINTS
    ]
    if settings.workload == "deployment" and not is_pinned:
        for toleration, seconds in zip(tolerations, LOST_NODE_TAINTS.values(), strict=True):
            toleration["toleration_seconds"] = seconds
    return [CONTROL_PLANE, *tolerations]


def base_pod_spec(
    settings: WorkloadSettings,
    node_selector: pulumi.Input[dict[str, str]] | None,
    containers: list[ContainerArgsDict],
    volumes: list[VolumeArgsDict],
) -> PodSpecArgsDict:
    """Return what the Pods of the registry and of its jobs have in common: their user, their rights and their nodes.

    `node_selector` pins the Pod to a node. Otherwise the nodes are those of the input of the same name.
    """
    component_tolerations = own_tolerations(settings, is_pinned=node_selector is not None)
    spec: PodSpecArgsDict = {
        "automount_service_account_token": False,
        "containers": containers,
        # A Service called registry would set variables REGISTRY_..., which the registry reads as its configuration.
        "enable_service_links": False,
        "security_context": security_context(settings.run_as_user),
        "tolerations": pulumi.Output.from_input(settings.tolerations).apply(
            lambda more: [*component_tolerations, *(cast(TolerationArgsDict, toleration) for toleration in more)]
        ),
        "volumes": volumes,
    }
    if node_selector is not None or settings.node_selector:
        spec["node_selector"] = node_selector if node_selector is not None else {**settings.node_selector}
    if settings.service_account is not None:
        spec["service_account_name"] = settings.service_account
    if settings.priority_class is not None:
        spec["priority_class_name"] = settings.priority_class
    if settings.image_pull_secret is not None:
        spec["image_pull_secrets"] = [{"name": settings.image_pull_secret}]
    return spec


def security_context(user: int) -> PodSecurityContextArgsDict:
    """Return the security context of the Pod. 0 is root, for a folder that belongs to root."""
    return {
        "run_as_user": user,
        "run_as_group": user,
        "run_as_non_root": user != 0,
        "fs_group": user,
        # By default the kubelet would change the owner of every file at each start of a Pod.
        "fs_group_change_policy": "OnRootMismatch",
        "seccomp_profile": {"type": "RuntimeDefault"},
    }
