"""The container and the volumes of a Pod with the program of maintenance/job: that of a job, or the exporter."""

from collections.abc import Sequence
from typing import NamedTuple

import pulumi
from pulumi_kubernetes.core.v1 import ContainerArgsDict, VolumeArgsDict, VolumeMountArgsDict

from .pods import NO_PRIVILEGES
from .settings import MaintenanceSettings, MonitoringSettings


class Program(NamedTuple):
    """The program in a Pod.

    Attributes:
        config_map: Name of the ConfigMap with the program.
        secret: Name of the Secret with its settings.
        folder: Mount path of the program.
        settings_folder: Mount path of the Secret.
    """

    config_map: str
    secret: str
    folder: str
    settings_folder: str


def program_container(
    program: Program,
    name: str,
    args: list[str],
    settings: MaintenanceSettings | MonitoringSettings,
    image_pull_policy: pulumi.Input[str],
    images: VolumeMountArgsDict | None,
) -> ContainerArgsDict:
    """Return the container that runs the program. `images` mounts the volume of the images, if the program may."""
    mounts: list[VolumeMountArgsDict] = [
        {"name": "program", "mount_path": program.folder, "read_only": True},
        {"name": "settings", "mount_path": program.settings_folder, "read_only": True},
    ]
    return {
        "name": name,
        "image": settings.maintenance_image,
        "image_pull_policy": image_pull_policy,
        # -B: write no bytecode, because the file system is read-only.
        "command": ["python3", "-B", "-m", "job"],
        "args": args,
        "working_dir": program.folder,
        "volume_mounts": [*mounts, *([images] if images is not None else [])],
        "resources": {"requests": settings.maintenance_requests, "limits": settings.maintenance_limits},
        "security_context": NO_PRIVILEGES,
    }


def program_volumes(program: Program, files: Sequence[str], claim: pulumi.Input[str] | None) -> list[VolumeArgsDict]:
    """Return the volumes. `files` are the names of the program's files, and `claim` is that of the images, if any."""
    volumes: list[VolumeArgsDict] = [
        # The paths make a package of the files, whose keys cannot have slashes.
        {
            "name": "program",
            "config_map": {
                "name": program.config_map,
                "items": [{"key": name, "path": f"job/{name}"} for name in files],
            },
        },
        {"name": "settings", "secret": {"secret_name": program.secret}},
    ]
    if claim is not None:
        volumes.append({"name": "repository", "persistent_volume_claim": {"claim_name": claim}})
    return volumes
