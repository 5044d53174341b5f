"""The dashboard for Grafana. Its sidecar loads the JSON model from a ConfigMap."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from .sources import Sources

WIDTH, HEIGHT = 8, 7
"""Size of a panel in the grid of Grafana, which is 24 wide."""

COLUMNS = 24 // WIDTH

DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
"""Data source that the user chooses at the top of the dashboard."""

SCHEMA_VERSION = 39
"""Version of the JSON model, that of Grafana 11. Newer ones read it too."""

LONGEST_UID = 40
"""Characters of the identifier of a dashboard."""

QUANTILES = (0.5, 0.95, 0.99)


class Query(NamedTuple):
    """A query with the text of its series in the legend."""

    expression: str
    legend: str


class Panel(NamedTuple):
    """A panel. `unit` is one of Grafana's. `kind` is timeseries or stat, which shows the last value."""

    title: str
    unit: str
    queries: Sequence[Query]
    kind: str = "timeseries"


def dashboard(sources: Sources) -> dict[str, Any]:
    """Return the dashboard of a registry."""
    identity = f"{sources.registry}-{sources.namespace}"
    return {
        "uid": hashlib.sha256(identity.encode()).hexdigest()[:LONGEST_UID],
        "title": f"Docker registry ({sources.namespace})",
        "tags": ["docker-registry"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]},
        "panels": [_panel(number, panel) for number, panel in enumerate(panels(sources))],
    }


def panels(sources: Sources) -> Iterator[Panel]:
    """Yield the panels."""
    yield from _request_panels(sources)
    yield from _storage_panels(sources)
    yield Panel("Certificates end in", "s", [*_certificate_queries(sources)], "stat")
    yield from _job_panels(sources)
    restarts = f"sum by (pod, container) ({sources.of_pods('kube_pod_container_status_restarts_total')})"
    yield Panel("Restarts", "short", [Query(restarts, "{{pod}} {{container}}")])


def _request_panels(sources: Sources) -> Iterator[Panel]:
    requests = sources.of_registry("registry_http_requests_total")
    failed = sources.of_registry("registry_http_requests_total", 'code=~"5.."')
    yield Panel(
        "Pods that answer",
        "short",
        [
            Query(f"sum({sources.of_registry('up')}) or vector(0)", "registry"),
            Query(f"sum({sources.of_exporter('up')}) or vector(0)", "exporter"),
            Query(f"max({sources.of_exporter('probe_success')})", "answer of the Service"),
        ],
        "stat",
    )
    yield Panel("Requests", "reqps", [Query(f"sum by (code) (rate({requests}[$__rate_interval]))", "{{code}}")])
    share = f"sum(rate({failed}[$__rate_interval])) / sum(rate({requests}[$__rate_interval]))"
    yield Panel("Share of failed requests (5xx)", "percentunit", [Query(f"({share}) or vector(0)", "failed")])
    buckets = sources.of_registry("registry_http_request_duration_seconds_bucket")
    yield Panel(
        "Duration of requests",
        "s",
        [
            Query(f"histogram_quantile({part}, sum by (le) (rate({buckets}[$__rate_interval])))", f"{part:.0%}")
            for part in QUANTILES
        ],
    )
    pulls = sources.of_registry("registry_http_requests_total", 'handler="manifest",method="get",code="200"')
    pushes = sources.of_registry("registry_http_requests_total", 'handler="manifest",method="put",code="201"')
    yield Panel(
        "Pulls and pushes of manifests",
        "reqps",
        [
            Query(f"sum(rate({pulls}[$__rate_interval])) or vector(0)", "pulls"),
            Query(f"sum(rate({pushes}[$__rate_interval])) or vector(0)", "pushes"),
        ],
    )
    sent = sources.of_registry("registry_http_response_size_bytes_sum")
    received = sources.of_registry("registry_http_request_size_bytes_sum")
    yield Panel(
        "Traffic",
        "Bps",
        [
            Query(f"sum(rate({sent}[$__rate_interval]))", "sent"),
            Query(f"sum(rate({received}[$__rate_interval]))", "received"),
        ],
    )


def _storage_panels(sources: Sources) -> Iterator[Panel]:
    if (volume := sources.volume) is not None:
        yield Panel("Disk", "bytes", [Query(volume.available_bytes, "free"), Query(volume.size_bytes, "size")])
        yield Panel("Inodes", "short", [Query(volume.available_inodes, "free"), Query(volume.inodes, "all")])
    if sources.reads_storage:
        yield Panel("Storage answers", "short", [Query(sources.of_exporter("storage_up"), "storage")], "stat")


def _certificate_queries(sources: Sources) -> Iterator[Query]:
    yield Query(f"{sources.of_exporter('certificate_expiry_timestamp_seconds')} - time()", "certificate")
    yield Query(f"min({sources.of_exporter('ca_expiry_timestamp_seconds')}) - time()", "CA")


def _job_panels(sources: Sources) -> Iterator[Panel]:
    if not sources.periods:
        return
    late = [Query(sources.seconds_late(task), task) for task in sources.periods]
    yield Panel("Jobs: time since the deadline, negative before it", "s", late, "stat")
    if sources.reads_storage:
        for title, unit, metric in (
            ("Jobs: last run failed", "short", "job_last_failed"),
            ("Jobs: duration of the last run", "s", "job_last_duration_seconds"),
            ("Jobs: space freed by the last run", "bytes", "job_last_freed_bytes"),
            ("Damaged files", "short", "job_damaged_files"),
        ):
            yield Panel(title, unit, [Query(sources.of_exporter(metric), "{{task}}")])


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    """Return the JSON model of a panel. The panels fill the grid row by row."""
    row, column = divmod(number, COLUMNS)
    return {
        "id": number + 1,
        "title": panel.title,
        "type": panel.kind,
        "datasource": DATA_SOURCE,
        "gridPos": {"h": HEIGHT, "w": WIDTH, "x": column * WIDTH, "y": row * HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + position),
                "datasource": DATA_SOURCE,
                "expr": query.expression,
                "legendFormat": query.legend,
            }
            for position, query in enumerate(panel.queries)
        ],
    }
