"""The Pod that keeps the files on a node. It runs as root without capabilities, because root owns the folders."""

from collections.abc import Mapping

import pulumi
from pulumi_kubernetes.core.v1 import ContainerArgsDict, PodSpecArgsDict, VolumeArgsDict, VolumeMountArgsDict

from ..pods import NO_PRIVILEGES
from .files import CONTAINERD, DOCKER
from .resolve import Settings


def pod_spec(settings: Settings, files: VolumeArgsDict) -> PodSpecArgsDict:
    """Return the spec of a Pod that runs on every node, whatever its taints. `files` is the volume to copy."""
    folders = {CONTAINERD: settings.containerd_folder, DOCKER: settings.docker_folder}
    volumes: list[VolumeArgsDict] = [
        {"name": kind, "host_path": {"path": path, "type": "DirectoryOrCreate"}} for kind, path in folders.items()
    ]
    return {
        "automount_service_account_token": False,
        "containers": [_container(settings.image, folders)],
        "enable_service_links": False,
        "priority_class_name": "system-node-critical",
        "security_context": {"run_as_user": 0, "run_as_group": 0, "seccomp_profile": {"type": "RuntimeDefault"}},
        "termination_grace_period_seconds": 10,
        "tolerations": [{"operator": "Exists"}],
        "volumes": [files, *volumes],
    }


def _container(image: pulumi.Input[str], folders: Mapping[str, pulumi.Input[str]]) -> ContainerArgsDict:
    mounts: list[VolumeMountArgsDict] = [{"name": kind, "mount_path": f"/node/{kind}"} for kind in folders]
    return {
        "name": "agent",
        "image": image,
        "command": ["sh", "/wanted/agent.sh", "keep"],
        "env": [
            {"name": "NAMESPACE", "value_from": {"field_ref": {"field_path": "metadata.namespace"}}},
            {"name": "POD_UID", "value_from": {"field_ref": {"field_path": "metadata.uid"}}},
        ],
        "readiness_probe": {"exec_": {"command": ["sh", "/wanted/agent.sh", "check"]}, "period_seconds": 2},
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "security_context": NO_PRIVILEGES,
        "volume_mounts": [{"name": "wanted", "mount_path": "/wanted", "read_only": True}, *mounts],
    }
