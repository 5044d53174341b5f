"""Metrics for Prometheus, on Services of their own that only the cluster reaches."""

import pulumi_kubernetes as kubernetes

from ..context import COMPONENT, SKIP_AWAIT, Context
from ..settings import MonitoringSettings

METRICS = {COMPONENT: "metrics"}
"""Label of these Services. A ServiceMonitor selects it, and does not scrape the Service for clients."""

PORT_NAME = "metrics"


def service_name(app: str) -> str:
    """Return the name of the Service with the metrics of a workload, which Prometheus uses as the label `job`."""
    return f"{app}-metrics"


def create_metrics_service(ctx: Context, prefix: str, port: int, settings: MonitoringSettings) -> None:
    """Create a Service for the metrics port of the Pods, and on request a ServiceMonitor for it.

    The names of the resources begin with `prefix`.
    """
    service = kubernetes.core.v1.Service(
        prefix,
        metadata=ctx.metadata(service_name(ctx.app), labels=METRICS, annotations=SKIP_AWAIT),
        spec={
            "selector": ctx.selector,
            "ports": [{"name": PORT_NAME, "port": port, "target_port": port}],
        },
        opts=ctx.options(),
    )
    if not settings.service_monitor:
        return
    interval = {} if settings.monitor_interval is None else {"interval": settings.monitor_interval}
    kubernetes.apiextensions.CustomResource(
        f"{prefix}-monitor",
        api_version="monitoring.coreos.com/v1",
        kind="ServiceMonitor",
        metadata=ctx.metadata(ctx.app, labels={**METRICS, **settings.monitor_labels}),
        spec={
            "selector": {"matchLabels": {**ctx.selector, **METRICS}},
            "endpoints": [{"port": service.spec.ports[0].name, "path": "/metrics", **interval}],
        },
        opts=ctx.options(),
    )
