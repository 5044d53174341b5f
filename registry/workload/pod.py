"""The Pod, alone or as the template of a Deployment, with as few privileges as the registry needs."""

from typing import cast

import pulumi
from pulumi_kubernetes.core.v1 import (
    ContainerArgsDict,
    LifecycleArgsDict,
    PodSpecArgsDict,
    SecretVolumeSourceArgsDict,
    VolumeArgsDict,
)

from ..pods import base_pod_spec
from ..settings import WorkloadSettings
from .container import STORAGE_VOLUME, Mounts, registry_container, secret_folders
from .front import Front, front_container, front_volumes
from .probes import probes

PRE_STOP_SLEEP_SECONDS = 3
"""Seconds that a preStop hook delays SIGTERM in a Deployment, so that kube-proxies can remove the endpoint."""

REGISTRY_EXTRA_SLEEP_SECONDS = 2
"""Seconds that the hook of a registry behind a proxy waits longer, because the proxy stops first and still passes on
requests."""


def pod_spec(
    settings: WorkloadSettings,
    mounts: Mounts,
    node_selector: pulumi.Input[dict[str, str]] | None,
    no_proxy: pulumi.Input[str] | None,
    front: Front | None,
    drain_seconds: int,
) -> PodSpecArgsDict:
    """Return the spec of the Pod. `node_selector` pins it to a node. `no_proxy` is the value of NO_PROXY, if any.

    With `front`, clients connect to that proxy, and the registry listens on a Unix socket. When the Pod
    stops, its open requests may take `drain_seconds` to finish.
    """
    containers = _containers(settings, mounts, no_proxy, front, drain_seconds)
    volumes = [*_volumes(mounts), *(front_volumes(front) if front is not None else [])]
    return base_pod_spec(settings, node_selector, containers, volumes)


def _volumes(mounts: Mounts) -> list[VolumeArgsDict]:
    secrets: list[VolumeArgsDict] = [
        {"name": name, "secret": _secret_volume(mounts, name)} for name in secret_folders(mounts)
    ]
    if mounts.claim is None:
        return secrets
    return [{"name": STORAGE_VOLUME, "persistent_volume_claim": {"claim_name": mounts.claim}}, *secrets]


def _secret_volume(mounts: Mounts, name: str) -> SecretVolumeSourceArgsDict:
    volume: SecretVolumeSourceArgsDict = {"secret_name": getattr(mounts, name)}
    if name == "configuration" and mounts.has_program:
        volume["default_mode"] = 0o555
    return volume


def _containers(
    settings: WorkloadSettings,
    mounts: Mounts,
    no_proxy: pulumi.Input[str] | None,
    front: Front | None,
    drain_seconds: int,
) -> list[ContainerArgsDict]:
    """Return the registry, and the proxy if there is one.

    The probes are those of the container that clients connect to. When a Pod of a Deployment stops, a hook lets each
    container serve for a moment.
    """
    registry = registry_container(settings, mounts, no_proxy, has_front=front is not None)
    containers = [registry, front_container(front, settings, drain_seconds)] if front is not None else [registry]
    containers[-1]["readiness_probe"], containers[-1]["liveness_probe"] = probes(is_remote=mounts.claim is None)
    if settings.workload == "deployment":
        # The last container is the one that clients connect to. It stops first.
        for position, container in enumerate(reversed(containers)):
            lifecycle = cast(LifecycleArgsDict, container.get("lifecycle", {}))
            sleep = PRE_STOP_SLEEP_SECONDS + position * REGISTRY_EXTRA_SLEEP_SECONDS
            container["lifecycle"] = {**lifecycle, "pre_stop": {"sleep": {"seconds": sleep}}}
    return containers
