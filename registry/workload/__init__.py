"""The registry itself: its configuration, and the Pod or the Deployment that runs it.

A bare Pod, as in the guide, is restarted by its kubelet after a crash or a reboot. After an eviction or a drain the
next `pulumi up` creates it again (docs/adr/0001-pod-or-deployment.md). A Deployment comes back by itself, and a new
replica is ready before the old one ends.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random
from pulumi_kubernetes.apps.v1 import DeploymentStrategyArgsDict
from pulumi_kubernetes.core.v1 import PodSpecArgsDict
from pulumi_kubernetes.meta.v1 import LabelSelectorArgsDict

from ..context import Context
from ..distribution import no_proxy_value, proxy_files
from ..pods import CONFIG_CHECKSUM, checksum, uid_of
from ..settings import ServingSettings, WorkloadSettings
from .configuration import (
    FILE_NAME,
    KEYS_FILE,
    METRICS_PORT,
    PORT,
    SOCKET,
    UPSTREAM_CA_FILE,
    UPSTREAM_LOGIN_FILE,
    configuration,
    drain_seconds,
    login_script,
)
from .container import Mounts
from .front import FRONT_FOLDER, LIVE_CERTIFICATE, STORAGE_STATE, Front
from .pod import pod_spec

__all__ = [
    "FRONT_FOLDER",
    "LIVE_CERTIFICATE",
    "METRICS_PORT",
    "PORT",
    "SOCKET",
    "STORAGE_STATE",
    "Front",
    "Workload",
    "WorkloadInputs",
]

SECRET_NAME = "configuration-secret"

ROLLING_UPDATE: DeploymentStrategyArgsDict = {
    "type": "RollingUpdate",
    "rolling_update": {"max_surge": 1, "max_unavailable": 0},
}
"""Start a new replica before an old one ends."""

RECREATE: DeploymentStrategyArgsDict = {"type": "Recreate"}
"""End the old replica first. A new one might start on a node that cannot mount the claim, and both would wait."""


class WorkloadInputs(NamedTuple):
    """The outputs of other parts that the workload needs.

    Attributes:
        certificate: Name of the TLS Secret, or None if the proxy serves the certificate.
        certificate_revision: Text that restarts the Pods if it changes. It is "" if the proxy serves the certificate.
        users: Name of the htpasswd Secret, or None if the registry has no users of its own.
        front: The proxy in front of the registry, or None.
        claim: Name of the claim, or None for an object store.
        claim_path: Path of the claim in the container.
        driver: Storage section of the configuration.
        node_selector: Labels of the node that has the images, or None if the Pods may run anywhere.
        external_url: URL of the registry behind an Ingress, else None.
        pods_overlap: Whether a new Pod reaches the images while the old one runs.
        upstreams: URLs of the servers that the registry connects to, without proxies.
        after: Resources to create first. Their changes do not restart the Pods.
    """

    certificate: pulumi.Input[str] | None
    certificate_revision: pulumi.Input[str]
    users: pulumi.Input[str] | None
    front: Front | None
    claim: pulumi.Input[str] | None
    claim_path: str
    driver: pulumi.Input[Mapping[str, Any]]
    node_selector: pulumi.Input[dict[str, str]] | None
    external_url: pulumi.Input[str] | None
    pods_overlap: bool
    upstreams: pulumi.Output[list[str]]
    after: Sequence[pulumi.Resource]


class PodTemplate(NamedTuple):
    """The Pod of either workload: its spec, the checksum for `CONFIG_CHECKSUM`, and the options of the workload."""

    spec: PodSpecArgsDict
    checksum: pulumi.Output[str]
    opts: pulumi.ResourceOptions


class Workload(pulumi.ComponentResource):
    """The configuration Secret and the Pod or Deployment."""

    def __init__(
        self, ctx: Context, settings: WorkloadSettings, serving: ServingSettings, inputs: WorkloadInputs
    ) -> None:
        super().__init__("private-registry:index:Workload", f"{ctx.name}-workload", {}, ctx.options())
        ctx = ctx.below(self, "workload")
        http_secret = random.RandomPassword(
            f"{ctx.name}-http-secret", length=43, special=False, opts=ctx.options()
        ).result
        is_direct = settings.outbound_proxy is None
        drain = drain_seconds(settings.workload, pods_overlap=inputs.pods_overlap)
        files: dict[str, pulumi.Input[str]] = {
            FILE_NAME: configuration(
                serving,
                inputs.driver,
                http_secret,
                inputs.external_url,
                drain_seconds=drain,
                is_direct=is_direct,
                has_front=inputs.front is not None,
                logs_requests=inputs.front is None or not inputs.front.decides,
            )
        }
        if serving.token is not None:
            files[KEYS_FILE] = serving.token["jwks"]
        if settings.upstream_ca is not None:
            files[UPSTREAM_CA_FILE] = settings.upstream_ca
        if serving.mirror is not None:
            files[UPSTREAM_LOGIN_FILE] = login_script(serving.mirror)
        content = pulumi.Output.all(files, settings.outbound_proxy or {}).apply(
            lambda both: both[0] | proxy_files(both[1])
        )
        secret = kubernetes.core.v1.Secret(
            f"{ctx.name}-configuration", metadata=ctx.metadata(SECRET_NAME), string_data=content, opts=ctx.options()
        )
        mounts = Mounts(
            certificate=inputs.certificate,
            users=inputs.users,
            configuration=SECRET_NAME,
            claim=inputs.claim,
            claim_path=inputs.claim_path,
            has_program=serving.mirror is not None,
        )
        template = PodTemplate(
            pod_spec(
                settings, mounts, inputs.node_selector, no_proxy_value(settings, inputs.upstreams), inputs.front, drain
            ),
            # An annotation is public, and so is a checksum of secrets. `pulumi up --refresh` replaces a Secret that was
            # edited in the cluster. Its new UID replaces the Pods, which may have read the edited files.
            pulumi.Output.unsecret(
                pulumi.Output.all(inputs.certificate_revision, content, uid_of(secret)).apply(checksum)
            ),
            ctx.options(depends_on=[*inputs.after, secret]),
        )
        if settings.workload == "pod":
            _create_pod(ctx, template)
        else:
            _create_deployment(ctx, settings, template, ROLLING_UPDATE if inputs.pods_overlap else RECREATE)
        self.register_outputs({})


def _create_pod(ctx: Context, template: PodTemplate) -> None:
    """Create a bare Pod. Its name is fixed, so the old Pod is deleted before the new one is created."""
    replacement = pulumi.ResourceOptions(
        delete_before_replace=True, replace_on_changes=[f'metadata.annotations["{CONFIG_CHECKSUM}"]']
    )
    kubernetes.core.v1.Pod(
        f"{ctx.name}-pod",
        metadata=ctx.metadata(ctx.app, annotations={CONFIG_CHECKSUM: template.checksum}),
        spec=template.spec,
        opts=pulumi.ResourceOptions.merge(template.opts, replacement),
    )


def _create_deployment(
    ctx: Context, settings: WorkloadSettings, template: PodTemplate, strategy: DeploymentStrategyArgsDict
) -> None:
    """Create replicas, on different nodes if there are several. A drain ends one replica at a time."""
    selector: LabelSelectorArgsDict = {"match_labels": ctx.selector}
    template.spec["topology_spread_constraints"] = [
        {
            "max_skew": 1,
            "topology_key": "kubernetes.io/hostname",
            "when_unsatisfiable": "ScheduleAnyway",
            "label_selector": selector,
            # Count only Pods of one ReplicaSet. Otherwise all new ones might start on one node.
            "match_label_keys": ["pod-template-hash"],
        }
    ]
    kubernetes.apps.v1.Deployment(
        f"{ctx.name}-deployment",
        metadata=ctx.metadata(ctx.app),
        spec={
            "replicas": settings.replicas,
            "selector": selector,
            "strategy": strategy,
            "template": {
                "metadata": ctx.metadata(annotations={CONFIG_CHECKSUM: template.checksum}, cluster_scoped=True),
                "spec": template.spec,
            },
        },
        opts=template.opts,
    )
    if settings.replicas > 1:
        kubernetes.policy.v1.PodDisruptionBudget(
            f"{ctx.name}-budget",
            metadata=ctx.metadata(ctx.app),
            spec={"max_unavailable": 1, "selector": selector},
            opts=template.opts,
        )
