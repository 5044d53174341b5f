"""The container of the proxy that decides who may do what. It passes allowed requests to the registry's Unix socket."""

from typing import NamedTuple

import pulumi
from pulumi_kubernetes.core.v1 import ContainerArgsDict, VolumeArgsDict

from ..pods import NO_PRIVILEGES
from ..settings import FrontSettings, WorkloadSettings
from .configuration import PORT
from .container import SOCKET_MOUNT

FRONT_FOLDER = "/etc/access"
"""Mount path of the proxy's Secret."""

VOLUME = "access"


class Front(NamedTuple):
    """The proxy: its settings, the Secret with its files, and the program in it that runs the proxy."""

    settings: FrontSettings
    secret: pulumi.Input[str]
    program: str


def front_container(front: Front, settings: WorkloadSettings, drain_seconds: int) -> ContainerArgsDict:
    """Return the container without probes. A probe of it asks the registry behind it as well.

    `drain_seconds` is the time in which open requests may finish when the Pod stops.
    """
    return {
        "name": "proxy",
        "image": front.settings.front_image,
        "image_pull_policy": settings.image_pull_policy,
        "command": ["sh", f"{FRONT_FOLDER}/{front.program}"],
        "env": [{"name": "DRAIN_SECONDS", "value": str(drain_seconds)}],
        "ports": [{"name": "registry", "container_port": PORT}],
        "volume_mounts": [{"name": VOLUME, "mount_path": FRONT_FOLDER, "read_only": True}, SOCKET_MOUNT],
        "resources": {"requests": front.settings.front_requests, "limits": front.settings.front_limits},
        "security_context": NO_PRIVILEGES,
    }


def front_volumes(front: Front) -> list[VolumeArgsDict]:
    """Return the volume of the proxy, and the one that it shares with the registry."""
    return [
        {"name": SOCKET_MOUNT["name"], "empty_dir": {"medium": "Memory", "size_limit": "1Mi"}},
        {"name": VOLUME, "secret": {"secret_name": front.secret}},
    ]
