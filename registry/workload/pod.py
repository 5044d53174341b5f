"""The Pod, alone or as the template of a Deployment: one container with the rights that serving needs."""

from collections.abc import Mapping
from typing import NamedTuple, cast

import pulumi
from pulumi_kubernetes.core.v1 import (
    ContainerArgsDict,
    EnvVarArgsDict,
    LifecycleArgsDict,
    PodSecurityContextArgsDict,
    PodSpecArgsDict,
    SecretVolumeSourceArgsDict,
    TolerationArgsDict,
    VolumeArgsDict,
)

from ..pods import NO_PRIVILEGES
from ..settings import WorkloadSettings
from .configuration import (
    CONFIGURATION_FOLDER,
    FILE_NAME,
    METRICS_PORT,
    PORT,
    UPSTREAM_CA_FILE,
)
from .probes import probes

SECRET_FOLDERS = {"certificate": "/certs", "users": "/auth", "configuration": CONFIGURATION_FOLDER}
"""Mount path of each Secret. With subPath the registry would not see changed users."""

VARIABLES = {
    "REGISTRY_AUTH": "htpasswd",
    "REGISTRY_AUTH_HTPASSWD_REALM": "Registry Realm",
    "REGISTRY_AUTH_HTPASSWD_PATH": "/auth/registry.password",
    "REGISTRY_HTTP_TLS_CERTIFICATE": "/certs/tls.crt",
    "REGISTRY_HTTP_TLS_KEY": "/certs/tls.key",
    "OTEL_TRACES_EXPORTER": "none",
}
"""The guide's variables, which name the mounted files. The last one disables the traces of 3.x, which need a server."""

PROXY_FILES = {"http": "http-proxy", "https": "https-proxy"}
"""Key of each proxy's URL in the configuration's Secret. The Pod only refers to it, as it may contain a password."""

POST_START_COMMAND = ["registry", "--version"]
"""Command that delays the first probe until the registry listens, some hundredths of a second.

A probe before that would fail, and the next one comes a second later."""

PRE_STOP_SLEEP_SECONDS = 3
"""Seconds to keep serving after SIGTERM, until every kube-proxy has removed the endpoint."""

CONTROL_PLANE: TolerationArgsDict = {
    "key": "node-role.kubernetes.io/control-plane",
    "operator": "Exists",
    "effect": "NoSchedule",
}
"""Toleration for control planes: the guide's node is one, and so are all nodes of many small clusters."""

UNREACHABLE_TOLERATION_SECONDS = 30
"""Seconds before a replica on an unreachable node is replaced, if its images are not on that node."""

UNREACHABLE_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


class Mounts(NamedTuple):
    """Names of the Secrets, and of the claim. An object store has no claim.

    `has_program` means that the configuration's Secret contains a program that the registry runs.
    """

    certificate: pulumi.Input[str]
    users: pulumi.Input[str]
    configuration: pulumi.Input[str]
    claim: pulumi.Input[str] | None
    claim_path: str
    has_program: bool


def pod_spec(
    settings: WorkloadSettings,
    mounts: Mounts,
    node_selector: pulumi.Input[dict[str, str]] | None,
    no_proxy: pulumi.Input[str] | None,
) -> PodSpecArgsDict:
    """Return the spec of the Pod. `node_selector` pins it to a node. `no_proxy` is the hosts without outbound proxy."""
    own = own_tolerations(settings, is_pinned=node_selector is not None)
    spec: PodSpecArgsDict = {
        "automount_service_account_token": False,
        "containers": [_container(settings, mounts, no_proxy)],
        "enable_service_links": False,  # the registry would read the variables of a Service called REGISTRY
        "security_context": _security_context(settings.run_as_user),
        "tolerations": pulumi.Output.from_input(settings.tolerations).apply(
            lambda added: [*own, *(cast(TolerationArgsDict, toleration) for toleration in added)]
        ),
        "volumes": _volumes(mounts),
    }
    if node_selector is not None:
        spec["node_selector"] = node_selector
    if settings.priority_class is not None:
        spec["priority_class_name"] = settings.priority_class
    if settings.image_pull_secret is not None:
        spec["image_pull_secrets"] = [{"name": settings.image_pull_secret}]
    return spec


def _volumes(mounts: Mounts) -> list[VolumeArgsDict]:
    secrets: list[VolumeArgsDict] = [{"name": name, "secret": _secret_volume(mounts, name)} for name in SECRET_FOLDERS]
    if mounts.claim is None:
        return secrets
    return [{"name": "repository", "persistent_volume_claim": {"claim_name": mounts.claim}}, *secrets]


def _secret_volume(mounts: Mounts, name: str) -> SecretVolumeSourceArgsDict:
    volume: SecretVolumeSourceArgsDict = {"secret_name": getattr(mounts, name)}
    if name == "configuration" and mounts.has_program:
        volume["default_mode"] = 0o555
    return volume


def _container(settings: WorkloadSettings, mounts: Mounts, no_proxy: pulumi.Input[str] | None) -> ContainerArgsDict:
    readiness, liveness = probes(is_remote=mounts.claim is None)
    return {
        "name": "registry",
        "image": settings.image,
        "image_pull_policy": settings.image_pull_policy,
        "args": ["serve", f"{CONFIGURATION_FOLDER}/{FILE_NAME}"],
        "env": [*_variables(settings), *_proxy_variables(mounts, no_proxy)],
        "ports": [{"name": name, "container_port": port} for name, port in _ports(settings).items()],
        "volume_mounts": [
            {"name": name, "mount_path": path, "read_only": name in SECRET_FOLDERS}
            for name, path in _folders(mounts).items()
        ],
        "lifecycle": _lifecycle(settings),
        "readiness_probe": readiness,
        "liveness_probe": liveness,
        "resources": {"requests": settings.requests, "limits": settings.limits},
        "security_context": NO_PRIVILEGES,
    }


def _ports(settings: WorkloadSettings) -> Mapping[str, int]:
    return {"registry": PORT, "metrics": METRICS_PORT} if settings.metrics else {"registry": PORT}


def _folders(mounts: Mounts) -> Mapping[str, str]:
    if mounts.claim is None:
        return SECRET_FOLDERS
    return {"repository": mounts.claim_path, **SECRET_FOLDERS}


def _variables(settings: WorkloadSettings) -> list[EnvVarArgsDict]:
    variables = dict(VARIABLES)
    if settings.upstream_ca is not None:
        variables["SSL_CERT_FILE"] = f"{CONFIGURATION_FOLDER}/{UPSTREAM_CA_FILE}"
    return [{"name": name, "value": value} for name, value in variables.items()]


def _proxy_variables(mounts: Mounts, no_proxy: pulumi.Input[str] | None) -> list[EnvVarArgsDict]:
    """Return the variables that Go's HTTP client takes a proxy from. A missing URL sets no variable."""
    if no_proxy is None:
        return []
    proxies: list[EnvVarArgsDict] = [
        {
            "name": f"{scheme.upper()}_PROXY",
            "value_from": {"secret_key_ref": {"name": mounts.configuration, "key": key, "optional": True}},
        }
        for scheme, key in PROXY_FILES.items()
    ]
    return [*proxies, {"name": "NO_PROXY", "value": no_proxy}]


def _lifecycle(settings: WorkloadSettings) -> LifecycleArgsDict:
    lifecycle: LifecycleArgsDict = {"post_start": {"exec_": {"command": POST_START_COMMAND}}}
    if settings.workload == "deployment":
        lifecycle["pre_stop"] = {"sleep": {"seconds": PRE_STOP_SLEEP_SECONDS}}
    return lifecycle


def own_tolerations(settings: WorkloadSettings, *, is_pinned: bool) -> list[TolerationArgsDict]:
    """Return the tolerations that the component sets: for a control plane, and for an unreachable node.

    Without the latter a bare Pod would be deleted for good, and a pinned one cannot run elsewhere. Both stay.
    """
    tolerations: list[TolerationArgsDict] = [
        {"key": taint, "operator": "Exists", "effect": "NoExecute"} for taint in UNREACHABLE_TAINTS
    ]
    if settings.workload == "deployment" and not is_pinned:
        for toleration in tolerations:
            toleration["toleration_seconds"] = UNREACHABLE_TOLERATION_SECONDS
    return [CONTROL_PLANE, *tolerations]


def _security_context(user: int) -> PodSecurityContextArgsDict:
    """Return the security context. Root is for a folder that belongs to root, and has no capabilities."""
    return {
        "run_as_user": user,
        "run_as_group": user,
        "run_as_non_root": user != 0,
        "fs_group": user,
        # By default the kubelet would change the owner of every file at each start of a Pod.
        "fs_group_change_policy": "OnRootMismatch",
        "seccomp_profile": {"type": "RuntimeDefault"},
    }
