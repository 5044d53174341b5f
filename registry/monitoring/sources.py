"""The metrics of one registry as PromQL: selectors, and the volume and the jobs from whichever exporter sees them."""

from collections.abc import Mapping
from typing import NamedTuple

from .scraping import service_name

PREFIX = "private_registry_"
"""Beginning of the names of the exporter's metrics (maintenance/job/export.py)."""

LATE_PERIODS = 2
"""Periods of its schedule without success until a job is late."""


class Volume(NamedTuple):
    """Metrics of the volume as PromQL. Each has one series, or none without a volume."""

    available_bytes: str
    size_bytes: str
    available_inodes: str
    inodes: str


class Sources(NamedTuple):
    """The place of the metrics of one registry.

    Attributes:
        namespace: Namespace of the registry. Prometheus adds it to each metric.
        registry: Name of the registry's workload.
        exporter: Name of the exporter's Deployment.
        claim: Name of the claim, or "" for an object store.
        reads_storage: Whether the exporter reads the storage. Otherwise the kubelet measures the volume, and the
            CronJobs show when the jobs have succeeded.
        periods: Periods of the jobs in seconds, by task.
    """

    namespace: str
    registry: str
    exporter: str
    claim: str
    reads_storage: bool
    periods: Mapping[str, int]

    def of_registry(self, metric: str, matchers: str = "") -> str:
        """Return a metric of the registry."""
        return self._selected(metric, f'job="{service_name(self.registry)}"', matchers)

    def of_exporter(self, metric: str, matchers: str = "") -> str:
        """Return a metric of the exporter. Its name lacks the prefix."""
        name = metric if metric == "up" else f"{PREFIX}{metric}"
        return self._selected(name, f'job="{service_name(self.exporter)}"', matchers)

    def of_pods(self, metric: str, matchers: str = "") -> str:
        """Return a metric of kube-state-metrics for the Pods of the registry, its jobs and the exporter."""
        return self._selected(metric, f'pod=~"{self.registry}(-.+)?"', matchers)

    @property
    def volume(self) -> Volume | None:
        """The volume, or None for an object store."""
        if not self.claim:
            return None
        names = ("storage_available_bytes", "storage_size_bytes", "storage_available_inodes", "storage_inodes")
        if self.reads_storage:
            return Volume(*map(self.of_exporter, names))
        names = ("available_bytes", "capacity_bytes", "inodes_free", "inodes")
        claim = f'persistentvolumeclaim="{self.claim}"'
        return Volume(*(f"max({self._selected(f'kubelet_volume_stats_{name}', claim)})" for name in names))

    def seconds_late(self, task: str) -> str:
        """Return the seconds since the deadline of a job, two periods after its last success."""
        if self.reads_storage:
            return f"time() - {self.of_exporter('job_deadline_timestamp_seconds', _task(task))}"
        cron_job = f'cronjob="{self.registry}-{task}"'
        last = self._selected("kube_cronjob_status_last_successful_time", cron_job)
        created = self._selected("kube_cronjob_created", cron_job)
        return f"time() - (max({last}) or max({created})) - {LATE_PERIODS * self.periods[task]}"

    def _selected(self, metric: str, *matchers: str) -> str:
        selected = ",".join(filter(None, [f'namespace="{self.namespace}"', *matchers]))
        return f"{metric}{{{selected}}}"


def _task(task: str) -> str:
    return f'task="{task}"'
