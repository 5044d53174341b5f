"""The alerts: groups of rules for a PrometheusRule.

Each alert has a severity, a summary, a description with the measured value, and a runbook: the command to run and the
section of the page to read. `critical` means that the registry does not serve, or soon will not. `warning` means that
a person has to act within days.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..settings import TlsSettings
from ..validation.limits import LONGEST_CERTIFICATE_DAYS
from .sources import Sources, Volume
from .tasks import TASKS

NOTICE_DAYS = 30
"""Days before the end of a certificate when a person has to act. `ops status` uses the same number."""

LOW_PERCENT, FULL_PERCENT = 10, 3
"""Percent of free space and inodes below which a volume is nearly full, and full."""

MIN_FREE_MARGIN = 5
"""Percent to add to `min_free` for the limit of a nearly full volume, because pushes are refused below `min_free`."""

PREDICTED_HOURS = 96
"""Hours within which a volume will be full if it fills as in the last six hours."""

PREDICTED_BELOW_PERCENT = 40
"""Percent of free space and inodes. Only below it an alert predicts a full volume. A volume with more free may fill
fast for some hours."""

ERROR_PERCENT, LEAST_ERRORS = 5, 5
"""Percent of requests, and number of them, that fail with status 5xx within five minutes before it is an alert."""

RESTARTS = 3
"""Restarts of a container within half an hour that make a loop."""

HOURS_OF_OOM = 1
"""Hours that an OOM kill is reported."""

DAY_SECONDS = 24 * 3600

STATUS = "Run `python -m ops status`."


class Thresholds(NamedTuple):
    """Limits that depend on the inputs.

    Attributes:
        certificate_days: Days before the end of the server certificate when `pulumi up` begins to renew it.
        ca_days: Days before the end of a CA when a person has to act.
        low_percent: Percent of free space and inodes below which the volume is nearly full.
        full_percent: Percent below which it is full, or below which the registry refuses pushes.
    """

    certificate_days: int
    ca_days: int
    low_percent: int
    full_percent: int


class Alert(NamedTuple):
    """An alert. Its condition must hold for `duration`, such as 5m. `labels` are further labels."""

    name: str
    expression: str
    duration: str
    severity: str
    summary: str
    description: str
    runbook: str
    labels: Mapping[str, str] = {}

    def rule(self, namespace: str) -> dict[str, Any]:
        """Return the rule of the PrometheusRule."""
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": self.duration,
            "labels": {"severity": self.severity, "namespace": namespace, **self.labels},
            "annotations": {
                "summary": f"{self.summary} (namespace {namespace}).",
                "description": self.description,
                "runbook": self.runbook,
            },
        }


def thresholds(tls: TlsSettings, min_free: int) -> Thresholds:
    """Return the limits for a registry that refuses pushes below `min_free` percent of free space, or at 0 never.

    `pulumi up` replaces a generated CA long before its end, so its rotation must begin before that. During a rotation
    the old CA ends soon, and is gone after the last step.
    """
    is_generated = tls.is_generated and tls.ca_certificate is None
    is_alone = is_generated and len(tls.ca_generations) == 1
    certificate_days = NOTICE_DAYS if tls.tls_secret is not None else max(tls.renew_before_days, 1)
    if tls.certificate_issuer is not None:  # cert-manager has tried to renew it for half of that time
        certificate_days = max(tls.renew_before_days // 2, 1)
    return Thresholds(
        certificate_days=certificate_days,
        ca_days=LONGEST_CERTIFICATE_DAYS + NOTICE_DAYS if is_alone else NOTICE_DAYS,
        low_percent=max(LOW_PERCENT, min_free + MIN_FREE_MARGIN) if min_free else LOW_PERCENT,
        full_percent=max(FULL_PERCENT, min_free),
    )


def alert_groups(limits: Thresholds, sources: Sources) -> list[dict[str, Any]]:
    """Return the groups of rules for a registry."""
    groups = {
        "registry": _service_alerts(sources),
        "storage": _storage_alerts(limits, sources),
        "certificates": _certificate_alerts(limits, sources),
        "jobs": _job_alerts(sources),
        "pods": _pod_alerts(sources),
    }
    return [
        {"name": f"{sources.registry}-{sources.namespace}-{name}", "rules": rules}
        for name, alerts in groups.items()
        if (rules := [alert.rule(sources.namespace) for alert in alerts])
    ]


def _service_alerts(sources: Sources) -> Iterator[Alert]:
    up, probe = sources.of_registry("up"), sources.of_exporter("probe_success")
    yield Alert(
        "RegistryDown",
        f"max({probe}) == 0 or absent({up} == 1)",
        *("2m", "critical"),
        "The registry does not answer",
        "No Pod of the registry answers, or it answers with an error.",
        f"{STATUS} See docs/operating.md#check. If it does not connect, run `python -m ops verify`.",
    )
    failed = sources.of_registry("registry_http_requests_total", 'code=~"5.."')
    every = sources.of_registry("registry_http_requests_total")
    yield Alert(
        "RegistryErrors",
        f"sum(rate({failed}[5m])) / sum(rate({every}[5m])) > {ERROR_PERCENT / 100} "
        f"and sum(increase({failed}[5m])) >= {LEAST_ERRORS}",
        *("5m", "warning"),
        "Requests fail",
        "{{ $value | humanizePercentage }} of the requests of the last five minutes have failed with status 5xx.",
        f"{STATUS} See docs/operating.md#check, and docs/symptoms.md for the messages of clients.",
    )
    yield Alert(
        "RegistryExporterDown",
        f"absent({sources.of_exporter('up')} == 1)",
        *("10m", "warning"),
        "The exporter of the registry does not answer",
        "Nothing watches the certificate, the storage and the jobs. A storage that hangs is a possible cause.",
        f"Run `kubectl -n {sources.namespace} describe pods -l app.kubernetes.io/name={sources.exporter}`, and "
        "`python -m ops status`. See docs/monitoring.md#the-exporter.",
    )


def _storage_alerts(limits: Thresholds, sources: Sources) -> Iterator[Alert]:
    if sources.reads_storage:
        yield Alert(
            "RegistryStorageDown",
            f"{sources.of_exporter('storage_up')} == 0",
            *("2m", "critical"),
            "The storage of the images fails",
            "The exporter cannot read the storage. Its log has the error.",
            f"{STATUS} The row `servers behind it` or `free space` has the cause. See docs/operating.md#check.",
        )
    if sources.volume is not None:
        yield from _volume_alerts(limits, sources.volume)


def _volume_alerts(limits: Thresholds, volume: Volume) -> Iterator[Alert]:
    collect = "Run `python -m ops collect`. See docs/maintenance.md#the-disk-is-full."
    for name, what, verb, available, size in (
        ("Disk", "space", "is", volume.available_bytes, volume.size_bytes),
        ("Inodes", "inodes", "are", volume.available_inodes, volume.inodes),
    ):
        share = f"{available} / {size}"
        value = f"{{{{ $value | humanizePercentage }}}} of the {what} {verb} free."
        yield Alert(
            f"Registry{name}Full",
            f"{share} < {limits.full_percent / 100}",
            *("1m", "critical"),
            f"The volume of the registry has no {what} left for pushes",
            f"{value} Pushes fail below {limits.full_percent}%, or will soon.",
            collect,
        )
        yield Alert(
            f"Registry{name}Low",
            f"{share} < {limits.low_percent / 100}",
            *("5m", "warning"),
            f"The volume of the registry is short of {what}",
            f"{value} The limit is {limits.low_percent}%.",
            collect,
        )
        # predict_linear takes only a selector, and the metric of a kubelet is the maximum of several.
        range_of = f"{available}[6h]" if available.endswith("}") else f"{available}[6h:5m]"
        yield Alert(
            f"Registry{name}FillUp",
            f"{share} < {PREDICTED_BELOW_PERCENT / 100} and predict_linear({range_of}, {PREDICTED_HOURS * 3600}) < 0",
            *("1h", "warning"),
            f"The {what} of the registry's volume will be used up within {PREDICTED_HOURS // 24} days",
            f"{value} The rest is used up then if the volume fills as in the last six hours.",
            f"{collect} Set `retention`, as in docs/maintenance.md#choose-what-stays.",
        )


def _certificate_alerts(limits: Thresholds, sources: Sources) -> Iterator[Alert]:
    left = f"{sources.of_exporter('certificate_expiry_timestamp_seconds')} - time()"
    renew = "Run `pulumi up`, which renews the certificate, and then `python -m ops status`."
    value = "It ends in {{ $value | humanizeDuration }}."
    page = "See docs/operating.md#renew-and-rotate."
    for name, days, severity in (
        ("RegistryCertificateExpires", limits.certificate_days, "warning"),
        ("RegistryCertificateExpiresSoon", limits.certificate_days // 4, "critical"),
    ):
        expression = f"{left} < {days * DAY_SECONDS}"
        summary = f"The certificate of the registry ends within {days} days"
        yield Alert(name, expression, "5m", severity, summary, value, f"{renew} {page}")
    yield Alert(
        "RegistryCertificateUntrusted",
        f"{sources.of_exporter('certificate_trusted')} == 0",
        *("15m", "critical"),
        "Clients do not trust the certificate that the registry serves",
        "It has ended, or its CA or its names are not those of this stack.",
        f"Run `python -m ops verify`, and then `pulumi up --refresh`. {page}",
    )
    yield Alert(
        "RegistryCaExpires",
        f"min({sources.of_exporter('ca_expiry_timestamp_seconds')}) - time() < {limits.ca_days * DAY_SECONDS}",
        *("5m", "warning"),
        f"A CA of the registry ends within {limits.ca_days} days",
        f"{value} Every client must get the new CA before that.",
        f"{STATUS} It names the next step of the rotation. {page}",
    )


def _job_alerts(sources: Sources) -> Iterator[Alert]:
    sections = {task.name: task.section for task in TASKS}
    for task in sources.periods:
        page, labels = f"See {sections[task]}.", {"task": task}
        yield Alert(
            "RegistryJobLate",
            f"{sources.seconds_late(task)} > 0",
            *("10m", "warning"),
            f"The job {task} has not succeeded for two periods of its schedule",
            "It is late by {{ $value | humanizeDuration }}.",
            f"{STATUS} The row of the job has the cause. Then run `python -m ops {task}`. {page}",
            labels,
        )
        if not sources.reads_storage:
            continue
        matcher = f'task="{task}"'
        yield Alert(
            "RegistryJobFailed",
            f"{sources.of_exporter('job_last_failed', matcher)} == 1",
            *("1m", "warning"),
            f"The last run of the job {task} has failed",
            f"`kubectl -n {sources.namespace} logs` of its Pod has the error.",
            f"{STATUS} Correct the cause, and run `python -m ops {task}`. {page}",
            labels,
        )
        yield Alert(
            "RegistryDamaged",
            f"{sources.of_exporter('job_damaged_files', matcher)} > 0",
            *("1m", "critical"),
            f"The job {task} has found damaged files",
            "{{ $value }} files are damaged. Pulls of their images fail.",
            f"Run `python -m ops {task}`, which names the images. See docs/maintenance.md#an-image-is-damaged.",
            labels,
        )


def _pod_alerts(sources: Sources) -> Iterator[Alert]:
    restarts = sources.of_pods("kube_pod_container_status_restarts_total")
    killed = sources.of_pods("kube_pod_container_status_last_terminated_reason", 'reason="OOMKilled"')
    by = "by (pod, container)"
    container = "The container {{ $labels.container }} of the Pod {{ $labels.pod }}"
    yield Alert(
        "RegistryOutOfMemory",
        f"sum {by} (increase({restarts}[{HOURS_OF_OOM}h])) > 0 and max {by} ({killed}) == 1",
        *("0m", "warning"),
        "A container was killed because it needed more memory than its limit",
        f"{container} was started again {{{{ $value | humanize }}}} times within the last hour.",
        f"{STATUS} It names the input with the limit. See docs/operating.md#check.",
    )
    yield Alert(
        "RegistryRestarts",
        f"sum {by} (increase({restarts}[30m])) > {RESTARTS}",
        *("0m", "critical"),
        "A container is started again and again",
        f"{container} was started again {{{{ $value | humanize }}}} times within half an hour.",
        f"{STATUS} It names the command that shows the log. See docs/operating.md#check.",
    )
