"""The Pod that keeps the files on a node: root, to whom the folders belong, but without anything else of root's."""

from collections.abc import Mapping

import pulumi
from pulumi_kubernetes.core.v1 import ContainerArgsDict, PodSpecArgsDict, VolumeArgsDict, VolumeMountArgsDict

from .args import NodeTrustArgs
from .files import CONTAINERD, DOCKER


def pod_spec(given: NodeTrustArgs, files: VolumeArgsDict) -> PodSpecArgsDict:
    """On every node, whatever its taints. `files` is the volume of what shall be there."""
    folders: dict[str, pulumi.Input[str]] = {CONTAINERD: given["containerd_folder"], DOCKER: given["docker_folder"]}
    on_the_node: list[VolumeArgsDict] = [
        {"name": kind, "host_path": {"path": path, "type": "DirectoryOrCreate"}} for kind, path in folders.items()
    ]
    return {
        "automount_service_account_token": False,
        "containers": [_container(given, folders)],
        "enable_service_links": False,
        "priority_class_name": "system-node-critical",
        "security_context": {"run_as_user": 0, "run_as_group": 0, "seccomp_profile": {"type": "RuntimeDefault"}},
        "termination_grace_period_seconds": 10,
        "tolerations": [{"operator": "Exists"}],
        "volumes": [files, *on_the_node],
    }


def _container(given: NodeTrustArgs, folders: Mapping[str, pulumi.Input[str]]) -> ContainerArgsDict:
    mounts: list[VolumeMountArgsDict] = [{"name": kind, "mount_path": f"/node/{kind}"} for kind in folders]
    return {
        "name": "agent",
        "image": given["image"],
        "command": ["sh", "/wanted/agent.sh", "keep"],
        "env": [
            {"name": "NAMESPACE", "value_from": {"field_ref": {"field_path": "metadata.namespace"}}},
            {"name": "POD_UID", "value_from": {"field_ref": {"field_path": "metadata.uid"}}},
        ],
        "readiness_probe": {"exec_": {"command": ["sh", "/wanted/agent.sh", "check"]}, "period_seconds": 2},
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "security_context": {
            "allow_privilege_escalation": False,
            "capabilities": {"drop": ["ALL"]},
            "read_only_root_filesystem": True,
        },
        "volume_mounts": [{"name": "wanted", "mount_path": "/wanted", "read_only": True}, *mounts],
    }
