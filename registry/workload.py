"""The registry itself: its configuration, and the Pod that runs it on the labelled node.

A bare Pod, as in the guide (docs/adr/0001-pod-or-deployment.md): its kubelet restarts it after a crash or a reboot, and
it tolerates an unreachable node without limit; after an eviction or a drain it takes the next `pulumi up`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random
from pulumi_kubernetes.core.v1 import (
    ContainerArgsDict,
    HTTPGetActionArgsDict,
    PodSecurityContextArgsDict,
    PodSpecArgsDict,
    TolerationArgsDict,
    VolumeMountArgsDict,
)

PORT = 5000
"""Where the registry listens inside its Pod, whatever the Service's port."""

CONFIGURATION = """\
version: 0.1
log: {{level: info, formatter: text}}
storage:
  filesystem: {{rootdirectory: /var/lib/registry}}
http:
  addr: :{port}
  secret: {secret}
  draintimeout: 20s
  http2: {{disabled: true}}
  headers: {{X-Content-Type-Options: [nosniff]}}
"""
"""In place of the image's own, which logs at debug and opens a debug port (3.x). draintimeout: pushes in flight finish
before the Pod goes. secret: an upload resumes after a restart. No HTTP/2: it halves the speed of large pulls."""

MOUNTS = {"certificate": "/certs", "users": "/auth", "configuration": "/etc/distribution"}
"""Secrets, mounted as read-only folders: by subPath the registry would not see new users (htpasswd is re-read)."""

VARIABLES = {
    "REGISTRY_AUTH": "htpasswd",
    "REGISTRY_AUTH_HTPASSWD_REALM": "Registry Realm",
    "REGISTRY_AUTH_HTPASSWD_PATH": "/auth/registry.password",
    "REGISTRY_HTTP_TLS_CERTIFICATE": "/certs/tls.crt",
    "REGISTRY_HTTP_TLS_KEY": "/certs/tls.key",
}
"""The guide's variables: they say where the mounts are. What else is set stands in the configuration."""

HEAD_START = ["registry", "--version"]
"""Run in the container when it starts: the kubelet probes after it. By then the registry listens, which takes it some
hundredths of a second; probed before that, it would be asked again, and be ready, only a second later."""

TOLERATIONS: list[TolerationArgsDict] = [
    {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
    {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"},
]
"""The guide's node is a control plane. Evicted from a node that is only out of reach, a bare Pod would be gone."""


class Spec(NamedTuple):
    """What runs where, and the names of what it mounts: two Secrets and the claim."""

    image: pulumi.Input[str]
    user: int
    node_selector: pulumi.Input[Mapping[str, str]]
    labels: Mapping[str, str]
    certificate: pulumi.Input[str]
    users: pulumi.Input[str]
    claim: pulumi.Input[str]


class Workload(pulumi.ComponentResource):
    """The configuration Secret and the Pod.

    `read_once` is what the registry reads at its start only: when it changes, the Pod is replaced. `after` is what has
    to be there before the Pod, whose changes do not concern it.
    """

    def __init__(
        self,
        name: str,
        spec: Spec,
        *,
        pod: str,
        namespace: pulumi.Input[str],
        read_once: pulumi.Input[str],
        after: Sequence[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("private-registry:index:Workload", name, {}, opts)
        shared = random.RandomPassword(
            f"{name}-http-secret", length=43, special=False, opts=pulumi.ResourceOptions(parent=self)
        ).result
        configuration = shared.apply(lambda secret: CONFIGURATION.format(port=PORT, secret=secret))
        secret = kubernetes.core.v1.Secret(
            f"{name}-configuration",
            metadata={"name": "configuration-secret", "namespace": namespace},
            string_data={"config.yml": configuration},
            opts=pulumi.ResourceOptions(parent=self),
        )
        kubernetes.core.v1.Pod(
            f"{name}-pod",
            metadata={"name": pod, "namespace": namespace, "labels": spec.labels},
            spec=_pod_spec(spec, secret.metadata.name),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=after,
                delete_before_replace=True,
                # Not secret: of a secret trigger `pulumi preview --json` dies (3.259). A digest tells nothing.
                replacement_trigger=pulumi.Output.unsecret(pulumi.Output.all(read_once, configuration).apply(_digest)),
            ),
        )
        self.register_outputs({})


def _pod_spec(spec: Spec, configuration: pulumi.Input[str]) -> PodSpecArgsDict:
    return {
        "automount_service_account_token": False,
        "containers": [_container(spec)],
        "enable_service_links": False,  # the variables of a Service named REGISTRY_... would be read as settings
        "node_selector": spec.node_selector,
        "security_context": _security_context(spec.user),
        "tolerations": TOLERATIONS,
        "volumes": [
            {"name": "repository", "persistent_volume_claim": {"claim_name": spec.claim}},
            {"name": "certificate", "secret": {"secret_name": spec.certificate}},
            {"name": "users", "secret": {"secret_name": spec.users}},
            {"name": "configuration", "secret": {"secret_name": configuration}},
        ],
    }


def _container(spec: Spec) -> ContainerArgsDict:
    probe: HTTPGetActionArgsDict = {"path": "/", "port": PORT, "scheme": "HTTPS"}  # 200 without credentials
    folders: list[VolumeMountArgsDict] = [
        {"name": name, "mount_path": path, "read_only": True} for name, path in MOUNTS.items()
    ]
    return {
        "name": "registry",
        "image": spec.image,
        "args": ["serve", "/etc/distribution/config.yml"],
        "env": [{"name": name, "value": value} for name, value in VARIABLES.items()],
        "ports": [{"name": "registry", "container_port": PORT}],
        "volume_mounts": [{"name": "repository", "mount_path": "/var/lib/registry"}, *folders],
        "lifecycle": {"post_start": {"exec_": {"command": HEAD_START}}},
        "readiness_probe": {"http_get": probe, "period_seconds": 1},
        "liveness_probe": {"http_get": probe, "period_seconds": 10},
        "security_context": {
            "allow_privilege_escalation": False,
            "capabilities": {"drop": ["ALL"]},
            "read_only_root_filesystem": True,
        },
    }


def _security_context(user: int) -> PodSecurityContextArgsDict:
    """Root only where the folder belongs to root: without capabilities it may do no more there than any owner."""
    return {
        "run_as_user": user,
        "run_as_group": user,
        "run_as_non_root": user != 0,
        "fs_group": user,
        "seccomp_profile": {"type": "RuntimeDefault"},
    }


def _digest(read_once: list[str]) -> str:
    """A fingerprint for the state, where the configuration itself would be one more secret."""
    return hashlib.sha256("\n".join(read_once).encode()).hexdigest()
