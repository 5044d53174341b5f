"""Evaluate the rules of the alerts with promtool: each fires after its cause, and resolves when the cause is gone.

promtool is Prometheus' own evaluator, which only `make test` builds. No cluster is needed.
"""

import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from dev.toolchain.build import build_program
from registry.monitoring.alerts import Thresholds, alert_groups
from registry.monitoring.dashboard import dashboard
from registry.monitoring.sources import Sources

pytestmark = pytest.mark.e2e

PROMTOOL = "promtool"

DAY = 24 * 3600

PERIODS = {"collect": DAY, "scrub": 7 * DAY}

LIMITS = Thresholds(certificate_days=30, ca_days=427, low_percent=10, full_percent=3)

NAMES = ("team", "docker-registry", "docker-registry-exporter")

SOURCES = {
    "exporter": Sources(*NAMES, claim="repository", reads_storage=True, periods=PERIODS),
    "kubelet": Sources(*NAMES, claim="repository", reads_storage=False, periods=PERIODS),
    "bucket": Sources(*NAMES, claim="", reads_storage=True, periods=PERIODS),
}
"""Sources of the metrics by name: a mounted claim, a claim that is not mounted, and a bucket."""

EXPORTER = 'namespace="team",job="docker-registry-exporter-metrics",pod="docker-registry-exporter-1"'
REGISTRY = 'namespace="team",job="docker-registry-metrics",pod="docker-registry-1"'
CLAIM = 'namespace="team",persistentvolumeclaim="repository",node="k8s-worker"'
CONTAINER = 'namespace="team",pod="docker-registry-1",container="registry"'

MINUTES = 600
"""Minutes of a scenario."""


class Scenario(NamedTuple):
    """A cause from minute 120 to minute 300.

    Attributes:
        alert: The alert that fires.
        series: Values by series, in promtool's notation, for each minute.
        fires: Minute at which the alert fires.
        ends: Minute at which it no longer fires.
        source: Name of the source.
    """

    alert: str
    series: dict[str, str]
    fires: int = 200
    ends: int = 400
    source: str = "exporter"

    def covers(self, alert: str, source: str) -> bool:
        return (alert, source) == (self.alert, self.source)


def steps(before: object, during: object, after: object = None) -> str:
    """Return the values of a series whose value changes at minute 120, and changes back at minute 300."""
    after = before if after is None else after
    return " ".join(f"{value}x{count}" for value, count in ((before, 119), (during, 179), (after, MINUTES - 301)))


def of_exporter(name: str, labels: str = "") -> str:
    return f"private_registry_{name}{{{','.join(filter(None, [EXPORTER, labels]))}}}"


def volume(kind: str, available: str, size: object = 1000) -> dict[str, str]:
    """Return the series of a volume. `kind` is "bytes" or "inodes"."""
    names = {
        "bytes": ("storage_available_bytes", "storage_size_bytes"),
        "inodes": ("storage_available_inodes", "storage_inodes"),
    }
    free, whole = (of_exporter(name) for name in names[kind])
    return {free: available, whole: f"{size}x{MINUTES}"}


def kubelet_volume(available: str) -> dict[str, str]:
    free, whole = (f"kubelet_volume_stats_{name}_bytes{{{CLAIM}}}" for name in ("available", "capacity"))
    return {free: available, whole: f"1000x{MINUTES}"}


def requests(failed: str) -> dict[str, str]:
    """Return the counters of requests: 60 a minute succeed."""
    name = f'registry_http_requests_total{{{REGISTRY},handler="blob",method="get",code='
    return {f'{name}"200"}}': f"0+60x{MINUTES}", f'{name}"500"}}': failed}


UP = {
    f"up{{{REGISTRY}}}": f"1x{MINUTES}",
    f"up{{{EXPORTER}}}": f"1x{MINUTES}",
    of_exporter("probe_success"): f"1x{MINUTES}",
}
"""Series of a registry that answers. A scenario may replace them."""

COLLECT = 'task="collect"'

MONTHS = 400 * DAY

SCENARIOS = [
    Scenario("RegistryDown", {of_exporter("probe_success"): steps(1, 0)}, fires=123),
    Scenario("RegistryDown", {f"up{{{REGISTRY}}}": steps(1, 0)}, fires=123),
    Scenario("RegistryDown", {f"up{{{REGISTRY}}}": steps(1, "_")}, fires=130),
    Scenario("RegistryExporterDown", {f"up{{{EXPORTER}}}": steps(1, 0), of_exporter("probe_success"): steps(1, "_")}),
    Scenario("RegistryErrors", requests(f"0x119 0+6x179 1074x{MINUTES}"), ends=310),
    Scenario("RegistryStorageDown", {of_exporter("storage_up"): steps(1, 0)}, fires=123),
    Scenario("RegistryDiskFull", volume("bytes", steps(500, 29)), fires=122, ends=301),
    Scenario("RegistryDiskLow", volume("bytes", steps(500, 99)), fires=126, ends=301),
    Scenario("RegistryDiskLow", kubelet_volume(steps(500, 99)), fires=126, ends=301, source="kubelet"),
    Scenario("RegistryInodesFull", volume("inodes", steps(500, 29)), fires=122, ends=301),
    Scenario("RegistryInodesLow", volume("inodes", steps(500, 99)), fires=126, ends=301),
    Scenario("RegistryDiskFillUp", volume("bytes", f"390x119 390-0.2x179 600x{MINUTES}"), fires=290, ends=310),
    Scenario("RegistryInodesFillUp", volume("inodes", f"390x119 390-0.2x179 600x{MINUTES}"), fires=290, ends=310),
    Scenario(
        "RegistryDiskFillUp",
        kubelet_volume(f"390x119 390-0.2x179 600x{MINUTES}"),
        fires=290,
        ends=310,
        source="kubelet",
    ),
    Scenario(
        "RegistryCertificateExpires",
        {of_exporter("certificate_expiry_timestamp_seconds"): steps(MONTHS, 30 * DAY, 2 * MONTHS)},
    ),
    Scenario(
        "RegistryCertificateExpiresSoon",
        {of_exporter("certificate_expiry_timestamp_seconds"): steps(MONTHS, 7 * DAY, 2 * MONTHS)},
    ),
    Scenario("RegistryCertificateUntrusted", {of_exporter("certificate_trusted"): steps(1, 0)}, fires=136),
    Scenario(
        "RegistryCaExpires",
        {
            of_exporter("ca_expiry_timestamp_seconds", 'fingerprint="a"'): f"{3650 * DAY}x{MINUTES}",
            of_exporter("ca_expiry_timestamp_seconds", 'fingerprint="b"'): steps(1000 * DAY, 427 * DAY),
        },
    ),
    Scenario("RegistryJobFailed", {of_exporter("job_last_failed", COLLECT): steps(0, 1)}, fires=122),
    Scenario("RegistryDamaged", {of_exporter("job_damaged_files", 'task="scrub"'): steps(0, 2)}, fires=122),
    Scenario("RegistryJobLate", {of_exporter("job_deadline_timestamp_seconds", COLLECT): steps(DAY, 60, 2 * DAY)}),
    Scenario(
        "RegistryJobLate",
        {
            'kube_cronjob_created{namespace="team",cronjob="docker-registry-collect"}': steps(0, -2 * DAY),
            'kube_cronjob_status_last_successful_time{namespace="team",cronjob="docker-registry-collect"}': steps(
                "_", "_", 0
            ),
        },
        source="kubelet",
    ),
    Scenario(
        "RegistryOutOfMemory",
        {
            f"kube_pod_container_status_restarts_total{{{CONTAINER}}}": f"0x179 1x{MINUTES}",
            f'kube_pod_container_status_last_terminated_reason{{{CONTAINER},reason="OOMKilled"}}': f"_x179 1x{MINUTES}",
        },
        fires=181,
        ends=245,
    ),
    Scenario(
        "RegistryRestarts",
        {f"kube_pod_container_status_restarts_total{{{CONTAINER}}}": f"0x179 0+1x8 9x{MINUTES}"},
        fires=186,
        ends=220,
    ),
]

QUIET = [
    Scenario("RegistryErrors", requests(f"0x119 0+1x179 179x{MINUTES}")),
    Scenario("RegistryDiskFull", volume("bytes", f"30x{MINUTES}")),
    Scenario("RegistryDiskLow", volume("bytes", f"100x{MINUTES}")),
    Scenario("RegistryInodesLow", volume("inodes", f"0x{MINUTES}", 0)),
    Scenario("RegistryDiskFillUp", volume("bytes", f"900-1x{MINUTES}", 1000)),
    Scenario("RegistryDiskFillUp", volume("bytes", f"390-0.001x{MINUTES}")),
    Scenario("RegistryOutOfMemory", {f"kube_pod_container_status_restarts_total{{{CONTAINER}}}": f"0x179 1x{MINUTES}"}),
    Scenario(
        "RegistryOutOfMemory",
        {
            'kube_pod_container_status_restarts_total{namespace="team",pod="other-1",container="a"}': "0x179 1x400",
            'kube_pod_container_status_last_terminated_reason{namespace="team",pod="other-1",container="a",'
            'reason="OOMKilled"}': "_x179 1x400",
        },
    ),
    Scenario("RegistryRestarts", {f"kube_pod_container_status_restarts_total{{{CONTAINER}}}": "0x179 0+1x3 3x400"}),
    Scenario(
        "RegistryJobLate",
        {'kube_cronjob_created{namespace="team",cronjob="docker-registry-collect"}': f"0x{MINUTES}"},
        source="kubelet",
    ),
    Scenario("RegistryDown", {}),
    Scenario("RegistryExporterDown", {}),
]
"""Scenarios without an alert: a value just above a limit, a file system without inodes, or another Pod."""


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run([build_program(PROMTOOL) / PROMTOOL, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write_rules(folder: Path) -> None:
    for name, sources in SOURCES.items():
        (folder / f"{name}.yml").write_text(yaml.safe_dump({"groups": alert_groups(LIMITS, sources)}))


def expectation(scenario: Scenario, minute: int, *, fires: bool) -> dict[str, Any]:
    alert = f'ALERTS{{alertname="{scenario.alert}",alertstate="firing"}}'
    samples = [{"labels": "{}", "value": 1}] if fires else []
    return {"expr": f"count({alert})", "eval_time": f"{minute}m", "exp_samples": samples}


def test_case(scenario: Scenario, *, fires: bool) -> dict[str, Any]:
    """Return a test of promtool."""
    moments = {119: False, scenario.fires: True, scenario.ends: False} if fires else dict.fromkeys((150, 299), False)
    series = UP | scenario.series
    return {
        "name": scenario.alert,
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [expectation(scenario, minute, fires=is_firing) for minute, is_firing in moments.items()],
    }


test_case.__test__ = False  # type: ignore[attr-defined]


def test_the_rules_are_valid(tmp_path: Path) -> None:
    write_rules(tmp_path)
    for name in SOURCES:
        assert "SUCCESS" in promtool("check", "rules", "--lint=all", "--lint-fatal", tmp_path / f"{name}.yml")


def test_there_is_a_scenario_for_every_alert() -> None:
    for name, sources in SOURCES.items():
        alerts = {rule["alert"] for group in alert_groups(LIMITS, sources) for rule in group["rules"]}
        assert alerts <= {scenario.alert for scenario in SCENARIOS}, name


@pytest.mark.parametrize("source", ["exporter", "kubelet"])
def test_each_alert_fires_after_its_cause_and_resolves_afterwards(source: str, tmp_path: Path) -> None:
    """The rules of other alerts are left out, because promtool evaluates all rules of a file each minute."""
    rules = [rule for group in alert_groups(LIMITS, SOURCES[source]) for rule in group["rules"]]
    files = []
    for alert in dict.fromkeys(rule["alert"] for rule in rules):
        group = {"name": alert, "rules": [rule for rule in rules if rule["alert"] == alert]}
        (tmp_path / f"{alert}.yml").write_text(yaml.safe_dump({"groups": [group]}))
        cases = [test_case(scenario, fires=True) for scenario in SCENARIOS if scenario.covers(alert, source)]
        cases += [test_case(scenario, fires=False) for scenario in QUIET if scenario.covers(alert, source)]
        if cases:
            files.append(tmp_path / f"{alert}-tests.yml")
            tests = {"rule_files": [f"{alert}.yml"], "evaluation_interval": "1m", "tests": cases}
            files[-1].write_text(yaml.safe_dump(tests))
    promtool("test", "rules", *files)


@pytest.mark.parametrize("source", SOURCES)
def test_the_queries_of_the_dashboard_are_valid(source: str) -> None:
    for panel in dashboard(SOURCES[source])["panels"]:
        for target in panel["targets"]:
            promtool("--experimental", "promql", "format", target["expr"].replace("$__rate_interval", "5m"))
