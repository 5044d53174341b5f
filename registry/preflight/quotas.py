"""The amounts that the quotas of an existing namespace must allow."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pulumi

from ..choices import Exposure
from ..lookup import known_values
from ..settings import (
    FrontSettings,
    MaintenanceSettings,
    MonitoringSettings,
    Settings,
    TlsSettings,
    UserSettings,
    WorkloadSettings,
)
from ..validation.quotas import Container, Demand

JOB_PREFIX = "maintenance_"
"""Prefix of the inputs of the maintenance jobs, and of the exporter."""


class Requirements(NamedTuple):
    """The inputs for a container: their prefix, and its requests and limits."""

    prefix: str
    requests: pulumi.Input[dict[str, str]]
    limits: pulumi.Input[dict[str, str]]


def quota_demand(settings: Settings) -> pulumi.Output[Demand | None]:
    """Return the amounts of a registry. Return None while one of them is unknown."""
    storage, maintenance, monitoring = settings.storage, settings.maintenance, settings.monitoring
    has_exporter = monitoring is not None and monitoring.has_exporter
    has_dashboard = monitoring is not None and monitoring.dashboard
    creates_claim = storage.kind.is_mounted and storage.storage_claim is None
    exposure = settings.exposure.exposure
    counts = {
        "services": 1 + (monitoring is not None) + has_exporter,
        "services.nodeports": exposure in (Exposure.NODE_PORT, Exposure.LOAD_BALANCER),
        "services.loadbalancers": exposure == Exposure.LOAD_BALANCER,
        "persistentvolumeclaims": creates_claim,
        "secrets": _secrets(settings.tls, settings.users) + (maintenance is not None) + has_exporter,
        "cronjobs.batch": _cron_jobs(maintenance),
        "configmaps": (maintenance is not None) + has_exporter + has_dashboard,
        "deployments.apps": has_exporter and 1 + (settings.workload.workload == "deployment"),
    }
    pod = _pod_containers(settings.workload, settings.front)
    others = _other_containers(maintenance, monitoring)

    def demand(resolved: Sequence[Any]) -> Demand | None:
        storage_size, *amounts = resolved
        if None in resolved:
            return None
        pairs = zip([*pod, *others], amounts[::2], amounts[1::2], strict=True)
        containers = [Container(item.prefix, requests, limits) for item, requests, limits in pairs]
        in_pod, elsewhere = containers[: len(pod)], containers[len(pod) :]
        texts = {name: str(int(count)) for name, count in counts.items() if count}
        if creates_claim:
            texts["requests.storage"] = storage_size
        sidecars = elsewhere[:1] * (_containers_of_job(maintenance) - 1)
        return Demand(storage.replicas, in_pod, elsewhere, texts, sidecars)

    amounts = [amount for item in (*pod, *others) for amount in (item.requests, item.limits)]
    return known_values([storage.storage_size, *amounts]).apply(demand)


def _secrets(tls: TlsSettings, users: UserSettings) -> int:
    """Return the number of Secrets without jobs and exporter: the configuration, and those of certificate and users."""
    return 1 + (tls.tls_secret is None) + tls.is_live + (users.users_secret is None and users.token is None)


def _cron_jobs(settings: MaintenanceSettings | None) -> int:
    """Return the number of CronJobs. A backup has two: one is suspended, and restores the images."""
    if settings is None:
        return 0
    jobs = (settings.collect, settings.scrub, settings.backup, settings.backup)
    return sum(job is not None for job in jobs)


def _pod_containers(workload: WorkloadSettings, front: FrontSettings | None) -> list[Requirements]:
    """Return the inputs for the containers of each Pod of the registry."""
    registry = Requirements("", workload.requests, workload.limits)
    if front is None:
        return [registry]
    return [registry, Requirements("front_", front.front_requests, front.front_limits)]


def _other_containers(jobs: MaintenanceSettings | None, monitoring: MonitoringSettings | None) -> list[Requirements]:
    """Return the inputs for the containers of a maintenance job, and of the exporter."""
    exporter = monitoring if monitoring is not None and monitoring.has_exporter else None
    return [
        Requirements(JOB_PREFIX, settings.maintenance_requests, settings.maintenance_limits)
        for settings in (jobs, exporter)
        if settings is not None
    ]


def _containers_of_job(settings: MaintenanceSettings | None) -> int:
    """Return the number of containers that run at once in the largest job. A backup has one or two registries."""
    if settings is None or settings.backup is None:
        return 1
    return 2 if "registry" in settings.backup["to"] else 3
