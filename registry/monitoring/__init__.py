"""Monitoring with Prometheus and Grafana: metrics, an exporter, alerts and a dashboard (docs/adr/0026-alerts.md)."""

import json

import pulumi
import pulumi_kubernetes as kubernetes

from ..context import Context
from ..settings import Settings
from .alerts import alert_groups, thresholds
from .dashboard import dashboard
from .exporter import APP as EXPORTER
from .exporter import ExporterInputs, create_exporter, exporter_labels, reads_storage
from .scraping import create_metrics_service
from .sources import Sources
from .tasks import task_periods

__all__ = ["ExporterInputs", "create_monitoring", "exporter_labels"]


def create_monitoring(ctx: Context, settings: Settings, port: int, inputs: ExporterInputs) -> None:
    """Create the Service for the metrics of the registry, and the monitoring that the inputs enable.

    `port` is that of the metrics. The exporter exists for the alerts and the dashboard alone.
    """
    monitoring = settings.monitoring
    assert monitoring is not None, "the caller has checked `metrics`"
    create_metrics_service(ctx, f"{ctx.name}-metrics", port, monitoring)
    if not monitoring.has_exporter:
        return
    periods = task_periods(settings.maintenance)
    create_exporter(ctx, settings, monitoring, periods, inputs)
    claim = pulumi.Output.from_input("" if inputs.claim is None else inputs.claim)
    sources = claim.apply(
        lambda name: Sources(
            namespace=settings.namespace,
            registry=ctx.app,
            exporter=EXPORTER,
            claim=name,
            reads_storage=reads_storage(settings, inputs),
            periods=periods,
        )
    )
    if monitoring.alerts:
        kubernetes.apiextensions.CustomResource(
            f"{ctx.name}-alerts",
            api_version="monitoring.coreos.com/v1",
            kind="PrometheusRule",
            metadata=ctx.metadata(ctx.app, labels=monitoring.monitor_labels),
            spec={"groups": sources.apply(lambda known: alert_groups(thresholds(settings), known))},
            opts=ctx.options(),
        )
    if monitoring.dashboard:
        kubernetes.core.v1.ConfigMap(
            f"{ctx.name}-dashboard",
            metadata=ctx.metadata(f"{ctx.app}-dashboard", labels=monitoring.dashboard_labels),
            data={f"{ctx.app}-{settings.namespace}.json": sources.apply(lambda known: json.dumps(dashboard(known)))},
            opts=ctx.options(),
        )
