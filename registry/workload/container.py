"""The container of the registry."""

from collections.abc import Mapping
from typing import NamedTuple

import pulumi
from pulumi_kubernetes.core.v1 import ContainerArgsDict, EnvVarArgsDict, VolumeMountArgsDict

from ..distribution import NO_TRACES, memory_limit, proxy_variables
from ..pods import NO_PRIVILEGES
from ..settings import WorkloadSettings
from .configuration import CONFIGURATION_FOLDER, FILE_NAME, METRICS_PORT, PORT, SOCKET_FOLDER, UPSTREAM_CA_FILE

SECRET_FOLDERS = {"certificate": "/certs", "users": "/auth", "configuration": CONFIGURATION_FOLDER}
"""Mount path of each Secret. With subPath the registry would not see changed users."""

USER_VARIABLES = {
    "REGISTRY_AUTH": "htpasswd",
    "REGISTRY_AUTH_HTPASSWD_REALM": "Registry Realm",
    "REGISTRY_AUTH_HTPASSWD_PATH": "/auth/registry.password",
}
CERTIFICATE_VARIABLES = {
    "REGISTRY_HTTP_TLS_CERTIFICATE": "/certs/tls.crt",
    "REGISTRY_HTTP_TLS_KEY": "/certs/tls.key",
}
"""Variables of the guide, which name the mounted files."""

POST_START_COMMAND = ["registry", "--version"]
"""Command that delays the first probe until the registry listens, some hundredths of a second.

A probe before that would fail, and the next one comes a second later."""

STORAGE_VOLUME = "repository"
"""Name of the Pod's volume with the images."""

SOCKET_MOUNT: VolumeMountArgsDict = {"name": "sockets", "mount_path": SOCKET_FOLDER}
"""Mount of the folder where the registry listens behind the proxy."""


class Mounts(NamedTuple):
    """Names of the Secrets that the registry reads, and of the claim. None means that there is no such mount.

    `claim_path` is the mount path of the claim. `has_program` means that the configuration's Secret contains a program
    that the registry runs.
    """

    certificate: pulumi.Input[str] | None
    users: pulumi.Input[str] | None
    configuration: pulumi.Input[str]
    claim: pulumi.Input[str] | None
    claim_path: str
    has_program: bool


def registry_container(
    settings: WorkloadSettings, mounts: Mounts, no_proxy: pulumi.Input[str] | None, *, has_front: bool
) -> ContainerArgsDict:
    """Return the container without probes. With the proxy in front it listens on a socket, otherwise on a port."""
    ports = {"metrics": METRICS_PORT} if settings.metrics else {}
    return {
        "name": "registry",
        "image": settings.image,
        "image_pull_policy": settings.image_pull_policy,
        "args": ["serve", f"{CONFIGURATION_FOLDER}/{FILE_NAME}"],
        "env": [
            *_variables(settings, mounts),
            memory_limit(settings.limits),
            *proxy_variables(mounts.configuration, no_proxy),
        ],
        "ports": [
            {"name": name, "container_port": port}
            for name, port in (ports if has_front else {"registry": PORT, **ports}).items()
        ],
        "volume_mounts": [*_volume_mounts(mounts), *([SOCKET_MOUNT] if has_front else [])],
        "lifecycle": {"post_start": {"exec_": {"command": POST_START_COMMAND}}},
        "resources": {"requests": settings.requests, "limits": settings.limits},
        "security_context": NO_PRIVILEGES,
    }


def secret_folders(mounts: Mounts) -> Mapping[str, str]:
    """Return the mount path of each Secret that the registry reads."""
    return {name: path for name, path in SECRET_FOLDERS.items() if getattr(mounts, name) is not None}


def _volume_mounts(mounts: Mounts) -> list[VolumeMountArgsDict]:
    folders = {STORAGE_VOLUME: mounts.claim_path} if mounts.claim is not None else {}
    folders |= secret_folders(mounts)
    return [{"name": name, "mount_path": path, "read_only": name in SECRET_FOLDERS} for name, path in folders.items()]


def _variables(settings: WorkloadSettings, mounts: Mounts) -> list[EnvVarArgsDict]:
    variables = USER_VARIABLES if mounts.users is not None else {}
    variables = variables | (CERTIFICATE_VARIABLES if mounts.certificate is not None else {}) | NO_TRACES
    if settings.upstream_ca is not None:
        variables["SSL_CERT_FILE"] = f"{CONFIGURATION_FOLDER}/{UPSTREAM_CA_FILE}"
    return [{"name": name, "value": value} for name, value in variables.items()]
