"""Monitoring with Prometheus and Grafana: metrics, an exporter, alerts and a dashboard (docs/adr/0026-alerts.md)."""

import json

import pulumi
import pulumi_kubernetes as kubernetes

from ..context import Context
from ..settings import MonitoringSettings, StorageSettings, WorkloadSettings
from .alerts import alert_groups, thresholds
from .dashboard import dashboard
from .exporter import APP as EXPORTER
from .exporter import MonitoringInputs, create_exporter, exporter_labels, reads_storage
from .scraping import create_metrics_service
from .sources import Sources
from .tasks import task_periods

__all__ = ["MonitoringInputs", "create_monitoring", "exporter_labels", "task_periods", "thresholds"]


def create_monitoring(
    ctx: Context,
    monitoring: MonitoringSettings,
    storage: StorageSettings,
    workload: WorkloadSettings,
    inputs: MonitoringInputs,
) -> None:
    """Create the Service for the metrics of the registry, and the monitoring that the inputs enable.

    The exporter exists for the alerts and the dashboard alone.
    """
    create_metrics_service(ctx, f"{ctx.name}-metrics", inputs.metrics_port, monitoring)
    if not monitoring.has_exporter:
        return
    create_exporter(ctx, monitoring, storage, workload, inputs)
    claim = pulumi.Output.from_input("" if inputs.claim is None else inputs.claim)
    sources = claim.apply(
        lambda name: Sources(
            namespace=inputs.namespace,
            registry=ctx.app,
            exporter=EXPORTER,
            claim=name,
            reads_storage=reads_storage(storage, inputs),
            periods=inputs.periods,
        )
    )
    if monitoring.alerts:
        kubernetes.apiextensions.CustomResource(
            f"{ctx.name}-alerts",
            api_version="monitoring.coreos.com/v1",
            kind="PrometheusRule",
            metadata=ctx.metadata(ctx.app, labels=monitoring.monitor_labels),
            spec={"groups": sources.apply(lambda known: alert_groups(inputs.limits, known))},
            opts=ctx.options(),
        )
    if monitoring.dashboard:
        kubernetes.core.v1.ConfigMap(
            f"{ctx.name}-dashboard",
            metadata=ctx.metadata(f"{ctx.app}-dashboard", labels=monitoring.dashboard_labels),
            data={f"{ctx.app}-{inputs.namespace}.json": sources.apply(lambda known: json.dumps(dashboard(known)))},
            opts=ctx.options(),
        )
