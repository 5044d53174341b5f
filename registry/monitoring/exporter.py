"""The exporter: a small Deployment for the metrics that the registry does not have.

It measures the certificate that the Service serves, the volume or the object store, and the results of the jobs. It
runs the program of the jobs, `maintenance/job`, and has no rights at the API server.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.core.v1 import (
    ContainerArgsDict,
    HTTPGetActionArgsDict,
    PodSecurityContextArgsDict,
    PodSpecArgsDict,
    VolumeMountArgsDict,
)

from ..context import NAME, Context
from ..pods import ANY_POD, CONFIG_CHECKSUM, base_pod_spec, checksum, security_context
from ..program import Program, program_container, program_volumes
from ..settings import MonitoringSettings, StorageSettings, WorkloadSettings
from ..upstreams import egress_rules, upstream_urls, with_proxies
from .alerts import Thresholds
from .scraping import PORT_NAME, create_metrics_service

APP = "docker-registry-exporter"
"""Name of the Deployment, and name in its labels. With the registry's name, its Service would send clients to it."""

PORT = 5002
"""Port of the metrics of the exporter."""

PROBE: HTTPGetActionArgsDict = {"path": "/", "port": PORT}
"""Request that the exporter answers without a look at the storage, whose failure a restart would not help."""

SETTINGS_FILE = "settings.json"

SECRET_NAME = "exporter-secret"

EXPORT = Program(APP, SECRET_NAME, "/opt/exporter", "/etc/exporter")
"""The program in the Pod of the exporter."""

NONROOT = 65532
"""User of the exporter if the registry runs as root. It only reads."""


class MonitoringInputs(NamedTuple):
    """The outputs of other parts that the monitoring needs.

    Attributes:
        namespace: Namespace of the registry.
        metrics_port: Port of the registry's own metrics.
        limits: Limits of the alerts.
        periods: Longest times between two runs of the jobs, in seconds.
        address: Address of the Service in the cluster.
        port: Port of the Service.
        target_port: Port of the registry in its Pods.
        host: Name that clients type.
        ca_pem: CA bundle of the clients, PEM.
        program: Files of the program by name.
        claim: Name of the claim, or None for an object store.
        claim_path: Path of the claim in the container.
        node_selector: Labels of the node that has the images, or None.
        storage: Function that returns the program's settings of the storage. Its arguments are `driver`, the CA and the
            proxies of the object store, and the URLs of its servers.
        driver: Storage section of the registry's configuration.
        after: Resources to create first.
    """

    namespace: str
    metrics_port: int
    limits: Thresholds
    periods: Mapping[str, int]
    address: pulumi.Input[str]
    port: int
    target_port: int
    host: pulumi.Input[str]
    ca_pem: pulumi.Input[str]
    program: Mapping[str, str]
    claim: pulumi.Input[str] | None
    claim_path: str
    node_selector: pulumi.Input[dict[str, str]] | None
    storage: Callable[..., dict[str, Any]]
    driver: pulumi.Input[Mapping[str, Any]]
    after: Sequence[pulumi.Resource]


def mounts_claim(storage: StorageSettings, inputs: MonitoringInputs) -> bool:
    """Return whether the exporter mounts the claim.

    If only one node can mount the claim, and the registry may run on any node, an exporter with the claim would keep
    the registry from moving to another node.
    """
    is_pinned = inputs.node_selector is not None
    return inputs.claim is not None and (is_pinned or storage.storage_access == "ReadWriteMany")


def reads_storage(storage: StorageSettings, inputs: MonitoringInputs) -> bool:
    """Return whether the exporter reads the storage: a claim that it mounts, or a bucket that it has keys for."""
    if inputs.claim is None:
        return storage.jobs_read_it
    return mounts_claim(storage, inputs)


def exporter_labels(ctx: Context) -> dict[str, str]:
    """Return the labels that select the Pod of the exporter. `ctx` is that of the registry."""
    return {**ctx.selector, NAME: APP}


def create_exporter(
    ctx: Context,
    monitoring: MonitoringSettings,
    storage: StorageSettings,
    workload: WorkloadSettings,
    inputs: MonitoringInputs,
) -> None:
    """Create the exporter, with its program, settings, NetworkPolicy and Service."""
    registry_labels = ctx.selector
    ctx = ctx.for_workload(APP, "exporter", monitoring.maintenance_image)
    program = inputs.program
    config_map = kubernetes.core.v1.ConfigMap(
        f"{ctx.name}-exporter-program", metadata=ctx.metadata(APP), data=program, opts=ctx.options()
    )
    content = _settings_file(storage, workload, inputs)
    secret = kubernetes.core.v1.Secret(
        f"{ctx.name}-exporter-settings",
        metadata=ctx.metadata(SECRET_NAME),
        string_data={SETTINGS_FILE: content},
        opts=ctx.options(),
    )
    _create_network_policy(ctx, registry_labels, inputs.target_port, _servers(storage, workload, inputs))
    annotations = {
        # An annotation is public, and so is a checksum of secrets.
        CONFIG_CHECKSUM: pulumi.Output.unsecret(content.apply(lambda resolved: checksum((program, resolved))))
    }
    kubernetes.apps.v1.Deployment(
        f"{ctx.name}-exporter",
        metadata=ctx.metadata(APP),
        spec={
            "replicas": 1,
            "selector": {"match_labels": ctx.selector},
            "strategy": {"type": "Recreate"},
            "template": {
                "metadata": ctx.metadata(annotations=annotations, cluster_scoped=True),
                "spec": _pod_spec(monitoring, workload, inputs, has_claim=mounts_claim(storage, inputs)),
            },
        },
        opts=ctx.options(depends_on=[config_map, secret, *inputs.after]),
    )
    create_metrics_service(ctx, f"{ctx.name}-exporter-metrics", PORT, monitoring)


def _settings_file(
    storage: StorageSettings, workload: WorkloadSettings, inputs: MonitoringInputs
) -> pulumi.Output[str]:
    """Return the file that the program reads."""
    export = {"address": inputs.address, "port": inputs.port, "host": inputs.host, "ca_pem": inputs.ca_pem}
    content: pulumi.Input[dict[str, Any] | None] = None
    if reads_storage(storage, inputs):
        content = pulumi.Output.all(
            driver=inputs.driver,
            ca_pem=workload.upstream_ca,
            proxies=workload.outbound_proxy or {},
            upstreams=upstream_urls(storage, None),
        ).apply(lambda resolved: inputs.storage(**resolved))
    return pulumi.Output.all(storage=content, export=export).apply(
        lambda resolved: json.dumps({**resolved, "export": {**resolved["export"], "jobs": inputs.periods}})
    )


def _servers(
    storage: StorageSettings, workload: WorkloadSettings, inputs: MonitoringInputs
) -> pulumi.Output[list[str]]:
    """Return the URLs of the servers that the exporter connects to, besides the registry."""
    if inputs.claim is not None or not reads_storage(storage, inputs):
        return pulumi.Output.from_input(list[str]())
    return with_proxies(upstream_urls(storage, None), workload.outbound_proxy)


def _create_network_policy(
    ctx: Context, registry_labels: Mapping[str, str], registry_port: int, servers: pulumi.Output[list[str]]
) -> None:
    """Allow Pods to read the metrics, and the exporter to connect to the registry and its object store."""
    registry = {
        "to": [{"pod_selector": {"match_labels": registry_labels}}],
        "ports": [{"protocol": "TCP", "port": registry_port}],
    }
    egress = pulumi.Output.all(ctx.namespace, servers).apply(
        lambda known: [registry, *egress_rules(known[1], own_namespace=known[0])]
    )
    kubernetes.networking.v1.NetworkPolicy(
        f"{ctx.name}-exporter-policy",
        metadata=ctx.metadata(APP),
        spec={
            "pod_selector": {"match_labels": ctx.selector},
            "policy_types": ["Ingress", "Egress"],
            "ingress": [{"from_": [ANY_POD], "ports": [{"protocol": "TCP", "port": PORT}]}],
            "egress": pulumi.Output.unsecret(egress),  # the URLs of proxies are secret, their ports are not
        },
        opts=ctx.options(),
    )


def _pod_spec(
    monitoring: MonitoringSettings, workload: WorkloadSettings, inputs: MonitoringInputs, *, has_claim: bool
) -> PodSpecArgsDict:
    """Return the spec of the Pod. `has_claim` means that it mounts the claim."""
    node_selector = inputs.node_selector if has_claim else None
    container = _container(monitoring, workload.image_pull_policy, inputs.claim_path if has_claim else None)
    volumes = program_volumes(EXPORT, [*inputs.program], inputs.claim if has_claim else None)
    # Unlike a bare Pod, the exporter leaves a node that is unreachable.
    spec = base_pod_spec(replace(workload, workload="deployment"), node_selector, [container], volumes)
    spec["security_context"] = _security_context(workload.run_as_user)
    return spec


def _security_context(user: int) -> PodSecurityContextArgsDict:
    """Return the context of the registry's Pod. Instead of root, another user reads what root's group may read."""
    if user != 0:
        return security_context(user)
    return {
        "run_as_user": NONROOT,
        "run_as_group": 0,
        "run_as_non_root": True,
        "seccomp_profile": {"type": "RuntimeDefault"},
    }


def _container(settings: MonitoringSettings, pull_policy: str, claim_path: str | None) -> ContainerArgsDict:
    """Return the container. `claim_path` is that of the claim, if it is mounted."""
    images: VolumeMountArgsDict | None = None
    if claim_path is not None:
        images = {"name": "repository", "mount_path": claim_path, "read_only": True}
    arguments = ["export", "--settings", f"{EXPORT.settings_folder}/{SETTINGS_FILE}", "--port", str(PORT)]
    container = program_container(EXPORT, "exporter", arguments, settings, pull_policy, images)
    container["ports"] = [{"name": PORT_NAME, "container_port": PORT}]
    container["readiness_probe"] = {"http_get": PROBE, "period_seconds": 5}
    container["liveness_probe"] = {"http_get": PROBE, "period_seconds": 10}
    return container
