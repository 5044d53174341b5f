"""Metrics for Prometheus, on a Service of their own that nobody outside the cluster reaches."""

import pulumi
import pulumi_kubernetes as kubernetes

from .args import PrivateRegistryArgs
from .metadata import NOT_AWAITED, Metadata

COMPONENT = {"app.kubernetes.io/component": "metrics"}
"""What tells this Service from the registry's own, which the ServiceMonitor must not scrape."""


SERVED = "v1.monitoring.coreos.com"
"""The APIService that every cluster has in which the operator's CRDs are. A CRD itself would fill the state."""


def find_operator(
    name: str, given: PrivateRegistryArgs, opts: pulumi.ResourceOptions
) -> kubernetes.apiregistration.v1.APIService | None:
    """What a ServiceMonitor needs, where one is wanted: without it `pulumi preview` fails.

    The engine then says "APIService (NAME): resource 'v1.monitoring.coreos.com' does not exist"; the provider by itself
    would ask for a minute, with all else made. Only the resource's NAME is ours, so the name tells the remedy.
    """
    if not given["service_monitor"]:
        return None
    needed = f"{name}-needs-the-crds-of-the-prometheus-operator"
    return kubernetes.apiregistration.v1.APIService.get(needed, SERVED, opts=opts)


def measure(
    name: str, app: str, given: PrivateRegistryArgs, port: int, metadata: Metadata, opts: pulumi.ResourceOptions
) -> None:
    """A Service for `port` of the Pods, and a ServiceMonitor for it, each if asked for."""
    if not given["metrics"]:
        return
    service = kubernetes.core.v1.Service(
        name,
        metadata=metadata.of(f"{app}-metrics", labels=COMPONENT, annotations=NOT_AWAITED),
        spec={
            "selector": metadata.selector,
            "ports": [{"name": "metrics", "port": port, "target_port": port}],
        },
        opts=opts,
    )
    if given["service_monitor"]:
        kubernetes.apiextensions.CustomResource(
            f"{name}-monitor",
            api_version="monitoring.coreos.com/v1",
            kind="ServiceMonitor",
            metadata=metadata.of(app),
            spec={
                "selector": {"matchLabels": {**metadata.selector, **COMPONENT}},
                "endpoints": [{"port": service.spec.ports[0].name, "path": "/metrics"}],
            },
            opts=opts,
        )
