"""The Pod, alone or as a Deployment's template: one container that may do nothing but serve."""

from typing import NamedTuple

import pulumi
from pulumi_kubernetes.core.v1 import (
    ContainerArgsDict,
    EnvVarArgsDict,
    HTTPGetActionArgsDict,
    LifecycleArgsDict,
    PodSecurityContextArgsDict,
    PodSpecArgsDict,
    TolerationArgsDict,
    VolumeArgsDict,
)

from ..args import PrivateRegistryArgs
from .configuration import FILE, METRICS_PORT, PORT, UPSTREAM_CA

FOLDERS = {"certificate": "/certs", "users": "/auth", "configuration": "/etc/distribution"}
"""Secrets, mounted as read-only folders: by subPath the registry would not see new users (htpasswd is re-read)."""

VARIABLES = {
    "REGISTRY_AUTH": "htpasswd",
    "REGISTRY_AUTH_HTPASSWD_REALM": "Registry Realm",
    "REGISTRY_AUTH_HTPASSWD_PATH": "/auth/registry.password",
    "REGISTRY_HTTP_TLS_CERTIFICATE": "/certs/tls.crt",
    "REGISTRY_HTTP_TLS_KEY": "/certs/tls.key",
    "OTEL_TRACES_EXPORTER": "none",
}
"""The guide's variables: they say where the mounts are; what else is set stands in the configuration. And no traces:
3.x would send them to a collector that nobody runs, and log each failure."""

HEAD_START = ["registry", "--version"]
"""Run in the container when it starts: the kubelet probes after it. By then the registry listens, which takes it some
hundredths of a second; probed before that, it would be asked again, and be ready, only a second later."""

HANDOVER = 3
"""Seconds that a replica goes on serving after it was told to stop: until no proxy sends it anything new."""

CONTROL_PLANE: TolerationArgsDict = {
    "key": "node-role.kubernetes.io/control-plane",
    "operator": "Exists",
    "effect": "NoSchedule",
}
"""The guide's node is one, as are all nodes of many a small cluster."""

LOST = 30
"""Seconds after which a replica is made elsewhere, where its node is out of reach and the images are not on it."""


class Mounts(NamedTuple):
    """Names of the Secrets, and of the claim unless the images are in an object store."""

    certificate: pulumi.Input[str]
    users: pulumi.Input[str]
    configuration: pulumi.Input[str]
    claim: pulumi.Input[str] | None


def pod_spec(
    given: PrivateRegistryArgs, mounts: Mounts, selector: pulumi.Input[dict[str, str]] | None
) -> PodSpecArgsDict:
    """What runs. `selector` finds the node that it is pinned to, if any."""
    spec: PodSpecArgsDict = {
        "automount_service_account_token": False,
        "containers": [_container(given, mounts)],
        "enable_service_links": False,  # the variables of a Service named REGISTRY_... would be read as settings
        "security_context": _security_context(given["run_as_user"]),
        "tolerations": [CONTROL_PLANE, *_while_lost(given, is_pinned=selector is not None)],
        "volumes": _volumes(mounts),
    }
    if selector is not None:
        spec["node_selector"] = selector
    if given.get("priority_class") is not None:
        spec["priority_class_name"] = given["priority_class"]
    if given.get("image_pull_secret") is not None:
        spec["image_pull_secrets"] = [{"name": given["image_pull_secret"]}]
    return spec


def _volumes(mounts: Mounts) -> list[VolumeArgsDict]:
    secrets: list[VolumeArgsDict] = [
        {"name": name, "secret": {"secret_name": getattr(mounts, name)}} for name in FOLDERS
    ]
    if mounts.claim is None:
        return secrets
    return [{"name": "repository", "persistent_volume_claim": {"claim_name": mounts.claim}}, *secrets]


def _container(given: PrivateRegistryArgs, mounts: Mounts) -> ContainerArgsDict:
    probe: HTTPGetActionArgsDict = {"path": "/", "port": PORT, "scheme": "HTTPS"}  # 200 without credentials
    folders = {**({} if mounts.claim is None else {"repository": "/var/lib/registry"}), **FOLDERS}
    ports = {"registry": PORT, **({"metrics": METRICS_PORT} if given["metrics"] else {})}
    return {
        "name": "registry",
        "image": given["image"],
        "image_pull_policy": given["image_pull_policy"],
        "args": ["serve", f"/etc/distribution/{FILE}"],
        "env": _variables(given),
        "ports": [{"name": name, "container_port": port} for name, port in ports.items()],
        "volume_mounts": [
            {"name": name, "mount_path": path, "read_only": name in FOLDERS} for name, path in folders.items()
        ],
        "lifecycle": _lifecycle(given),
        "readiness_probe": {"http_get": probe, "period_seconds": 1},
        "liveness_probe": {"http_get": probe, "period_seconds": 10},
        "resources": {"requests": given["requests"], "limits": given["limits"]},
        "security_context": {
            "allow_privilege_escalation": False,
            "capabilities": {"drop": ["ALL"]},
            "read_only_root_filesystem": True,
        },
    }


def _variables(given: PrivateRegistryArgs) -> list[EnvVarArgsDict]:
    trusted = {"SSL_CERT_FILE": f"/etc/distribution/{UPSTREAM_CA}"} if given.get("upstream_ca") is not None else {}
    return [{"name": name, "value": value} for name, value in {**VARIABLES, **trusted}.items()]


def _lifecycle(given: PrivateRegistryArgs) -> LifecycleArgsDict:
    lifecycle: LifecycleArgsDict = {"post_start": {"exec_": {"command": HEAD_START}}}
    if given["workload"] == "deployment":
        lifecycle["pre_stop"] = {"sleep": {"seconds": HANDOVER}}
    return lifecycle


def _while_lost(given: PrivateRegistryArgs, *, is_pinned: bool) -> list[TolerationArgsDict]:
    """A bare Pod that is evicted from a node that is only out of reach is gone, and a pinned one has nowhere else."""
    keys = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    lost: list[TolerationArgsDict] = [{"key": key, "operator": "Exists", "effect": "NoExecute"} for key in keys]
    if given["workload"] == "pod" or is_pinned:
        return lost
    return [{**each, "toleration_seconds": LOST} for each in lost]


def _security_context(user: int) -> PodSecurityContextArgsDict:
    """Root only where the folder belongs to root: without capabilities it may do no more there than any owner."""
    return {
        "run_as_user": user,
        "run_as_group": user,
        "run_as_non_root": user != 0,
        "fs_group": user,
        "seccomp_profile": {"type": "RuntimeDefault"},
    }
