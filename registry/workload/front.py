"""The container of the proxy, which decides on requests, or only terminates TLS.

It passes requests to the registry's Unix socket. It also serves a certificate that cert-manager or the user renews.

In names, `front` is this proxy, and `proxy` is the outbound proxy.
"""

from typing import NamedTuple

import pulumi
from pulumi_kubernetes.core.v1 import ContainerArgsDict, VolumeArgsDict, VolumeMountArgsDict

from ..pods import NO_PRIVILEGES
from ..settings import FrontSettings, WorkloadSettings
from .configuration import PORT, SOCKET_FOLDER
from .container import SOCKET_MOUNT, STORAGE_VOLUME

FRONT_FOLDER = "/etc/access"
"""Mount path of the Secret with the proxy's files."""

VOLUME = "access"
"""Name of the Pod's volume with the proxy's Secret."""

CERTIFICATE_VOLUME, CERTIFICATE_FOLDER = "certificate", "/etc/certificate"
"""Name and mount path of the Pod's volume with a TLS Secret that cert-manager or the user renews."""

LIVE_CERTIFICATE = f"{CERTIFICATE_FOLDER}/tls.crt"
"""Path of that certificate. The kubelet replaces it when the Secret changes."""

STORAGE_STATE = f"{SOCKET_FOLDER}/storage.map"
"""File with the state of the storage, which the proxy reads."""


class Front(NamedTuple):
    """The proxy.

    Attributes:
        settings: Its settings.
        secret: Name of the Secret with its files.
        program: The file of the Secret that runs the proxy.
        storage_path: Mount path of the claim in both containers.
        certificate: Name of the TLS Secret with the certificate, or None if `secret` has the certificate.
        decides: Whether the proxy decides on requests and logs them. Otherwise it only terminates TLS.
    """

    settings: FrontSettings
    secret: pulumi.Input[str]
    program: str
    storage_path: str
    certificate: pulumi.Input[str] | None
    decides: bool


def front_container(front: Front, settings: WorkloadSettings, drain_seconds: int) -> ContainerArgsDict:
    """Return the container without probes. Its probes reach the registry too, because it passes them on.

    When the Pod stops, its open requests may take `drain_seconds` to finish.
    """
    return {
        "name": "proxy",
        "image": front.settings.front_image,
        "image_pull_policy": settings.image_pull_policy,
        "command": ["sh", f"{FRONT_FOLDER}/{front.program}"],
        "env": [{"name": name, "value": value} for name, value in _variables(front, drain_seconds).items()],
        "ports": [{"name": "registry", "container_port": PORT}],
        "volume_mounts": [
            {"name": VOLUME, "mount_path": FRONT_FOLDER, "read_only": True},
            SOCKET_MOUNT,
            *_certificate_mounts(front),
            *_storage_mounts(front),
        ],
        "resources": {"requests": front.settings.front_requests, "limits": front.settings.front_limits},
        "security_context": NO_PRIVILEGES,
    }


def _variables(front: Front, drain_seconds: int) -> dict[str, str]:
    """Return the variables of the program."""
    variables = {"DRAIN_SECONDS": str(drain_seconds)}
    if front.certificate is not None:
        variables["CERTIFICATE"] = LIVE_CERTIFICATE
    if not front.settings.min_free:
        return variables
    limit = {"MIN_FREE": str(front.settings.min_free), "STORAGE": front.storage_path, "STORAGE_STATE": STORAGE_STATE}
    return variables | limit


def _certificate_mounts(front: Front) -> list[VolumeMountArgsDict]:
    if front.certificate is None:
        return []
    return [{"name": CERTIFICATE_VOLUME, "mount_path": CERTIFICATE_FOLDER, "read_only": True}]


def _storage_mounts(front: Front) -> list[VolumeMountArgsDict]:
    """Return the mount of the storage, whose free space the proxy reads."""
    if not front.settings.min_free:
        return []
    return [{"name": STORAGE_VOLUME, "mount_path": front.storage_path, "read_only": True}]


def front_volumes(front: Front) -> list[VolumeArgsDict]:
    """Return the volumes of the proxy, and the one that it shares with the registry."""
    volumes: list[VolumeArgsDict] = [
        {"name": SOCKET_MOUNT["name"], "empty_dir": {"medium": "Memory", "size_limit": "1Mi"}},
        {"name": VOLUME, "secret": {"secret_name": front.secret}},
    ]
    if front.certificate is not None:
        volumes.append({"name": CERTIFICATE_VOLUME, "secret": {"secret_name": front.certificate}})
    return volumes
