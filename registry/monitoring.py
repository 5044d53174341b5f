"""Metrics for Prometheus, on a Service of their own that only the cluster reaches."""

import pulumi_kubernetes as kubernetes

from .context import COMPONENT, SKIP_AWAIT, Context

METRICS = {COMPONENT: "metrics"}
"""Label of this Service. The ServiceMonitor selects it, and does not scrape the Service for clients."""


def create_metrics_service(ctx: Context, port: int, *, service_monitor: bool) -> None:
    """Create a Service for the metrics port of the Pods, and on request a ServiceMonitor for it."""
    service = kubernetes.core.v1.Service(
        f"{ctx.name}-metrics",
        metadata=ctx.metadata(f"{ctx.app}-metrics", labels=METRICS, annotations=SKIP_AWAIT),
        spec={
            "selector": ctx.selector,
            "ports": [{"name": "metrics", "port": port, "target_port": port}],
        },
        opts=ctx.options(),
    )
    if service_monitor:
        kubernetes.apiextensions.CustomResource(
            f"{ctx.name}-metrics-monitor",
            api_version="monitoring.coreos.com/v1",
            kind="ServiceMonitor",
            metadata=ctx.metadata(ctx.app, labels=METRICS),
            spec={
                "selector": {"matchLabels": {**ctx.selector, **METRICS}},
                "endpoints": [{"port": service.spec.ports[0].name, "path": "/metrics"}],
            },
            opts=ctx.options(),
        )
