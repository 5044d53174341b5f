"""The objects for Prometheus and Grafana: Services, exporter, alerts and dashboard.

tests/e2e/test_alerts.py lets promtool and a real Prometheus evaluate the rules.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
import typer.main

from ops.__main__ import app
from registry import PrivateRegistry
from registry.maintenance import PROGRAM
from registry.maintenance.job import export
from registry.maintenance.job.__main__ import exporter as exporter_of
from registry.maintenance.job.export import HELP, PREFIX
from registry.monitoring import sources as sources_module
from registry.monitoring.alerts import Thresholds, alert_groups
from registry.monitoring.dashboard import dashboard
from registry.monitoring.sources import Sources
from registry.monitoring.tasks import TASKS
from registry.settings import MaintenanceSettings
from registry.validation.schedules import longest_interval, parse_schedule
from tests.conftest import Deploy, Engine, deploy_once, is_secret, unwrap_secret

ROOT = Path(__file__).parents[2]

Inputs = dict[str, Any]

NIGHTLY = {"schedule": "30 2 * * *"}
WEEKLY = {"schedule": "0 4 * * 0"}
MONITORED: Inputs = {"metrics": True, "service_monitor": True}
ALERTS: Inputs = {**MONITORED, "alerts": True}
ALL: Inputs = {**ALERTS, "dashboard": True, "collect": NIGHTLY, "scrub": WEEKLY}
S3: Inputs = {"storage": "s3", "s3_bucket": "images", "s3_endpoint": "http://minio.storage:9000"}
KEYS: Inputs = {"s3_access_key": "AKIA1", "s3_secret_key": "hunter23"}
STORAGES: dict[str, Inputs] = {
    "folder": {},
    "local": {"storage": "local"},
    "claim": {"storage": "claim", "storage_claim": "mine", "create_namespace": False},
    "class": {"storage": "class", "storage_class": "fast"},
    "class of one Pod": {"storage": "class", "storage_class": "fast", "storage_access": "ReadWriteOncePod"},
    "shared class": {"storage": "class", "storage_class": "fast", "storage_access": "ReadWriteMany"},
    "S3": {**S3, **KEYS},
    "S3 with a role": S3,
}
MOUNTED = ("folder", "local", "shared class")
MEASURED = (*MOUNTED, "S3")
"""Names of the storages that the exporter mounts, and of those that it measures."""


@cache
def deployed(storage: str = "folder", *, jobs: bool = True) -> Engine:
    has_jobs = jobs and storage not in ("class of one Pod", "S3 with a role")
    inputs = {**ALL} if has_jobs else {**ALERTS, "dashboard": True}
    return deploy_once("registry", {**inputs, **STORAGES[storage]})


def spec_of(engine: Engine, name: str) -> Inputs:
    return dict(unwrap_secret(engine.by_name(name).inputs["spec"]))


def pod(engine: Engine) -> Inputs:
    return dict(unwrap_secret(spec_of(engine, "registry-exporter")["template"])["spec"])


def settings(engine: Engine) -> Inputs:
    data = engine.by_name("registry-exporter-settings").inputs["stringData"]
    return dict(json.loads(unwrap_secret(unwrap_secret(data)["settings.json"])))


def rules(engine: Engine) -> list[Inputs]:
    """Return all rules of the PrometheusRule."""
    return [dict(rule) for group in spec_of(engine, "registry-alerts")["groups"] for rule in group["rules"]]


def expressions(engine: Engine) -> dict[str, list[str]]:
    """Return the expressions of the alerts by name."""
    by_name: dict[str, list[str]] = {}
    for rule in rules(engine):
        by_name.setdefault(rule["alert"], []).append(rule["expr"])
    return by_name


def board(engine: Engine) -> Inputs:
    data = engine.by_name("registry-dashboard").inputs["data"]
    return dict(json.loads(data["docker-registry-docker-registry.json"]))


def queries(engine: Engine) -> list[str]:
    return [target["expr"] for panel in board(engine)["panels"] for target in panel["targets"]]


# The objects that exist


def names(inputs: Inputs) -> set[str]:
    return {each.name for each in deploy_once("registry", inputs).resources}


EXPORTER = {
    *("registry-exporter", "registry-exporter-program", "registry-exporter-settings", "registry-exporter-policy"),
    "registry-exporter-metrics",
}


@pytest.mark.parametrize(
    ("inputs", "more", "added"),
    [
        ({"metrics": True}, {"dashboard": True}, EXPORTER | {"registry-dashboard"}),
        (MONITORED, {"alerts": True}, EXPORTER | {"registry-exporter-metrics-monitor", "registry-alerts"}),
        ({}, {"metrics": True}, {"registry-metrics"}),
        ({"metrics": True}, {"service_monitor": True}, {"registry-metrics-monitor"}),
    ],
    ids=["dashboard", "alerts", "metrics", "service_monitor"],
)
def test_an_input_adds_its_objects_and_no_other(inputs: Inputs, more: Inputs, added: set[str]) -> None:
    assert names({**inputs, **more}) - names(inputs) == added
    assert names(inputs) <= names({**inputs, **more})


def test_alerts_change_no_other_object_than_the_policy() -> None:
    without, with_alerts = deploy_once("registry", MONITORED), deploy_once("registry", ALERTS)
    inputs = [
        {each.name: each.inputs for each in engine.resources if "Chart" not in each.type}
        for engine in (without, with_alerts)
    ]
    assert {name for name, value in inputs[0].items() if inputs[1][name] != value} == {"registry-policy"}


def test_the_monitors_and_the_rules_have_the_labels_and_the_interval(deploy: Deploy, engine: Engine) -> None:
    more = {"monitor_labels": {"release": "stack"}, "monitor_interval": "15s", "dashboard_labels": {"grafana": "yes"}}
    deploy(lambda: PrivateRegistry("registry", cast(Any, {**ALL, **more})))
    for name in ("registry-metrics-monitor", "registry-exporter-metrics-monitor", "registry-alerts"):
        assert engine.by_name(name).inputs["metadata"]["labels"]["release"] == "stack", name
        if name.endswith("monitor"):
            assert spec_of(engine, name)["endpoints"] == [{"port": "metrics", "path": "/metrics", "interval": "15s"}]
    labels = engine.by_name("registry-dashboard").inputs["metadata"]["labels"]
    assert labels["grafana"] == "yes"
    assert "grafana_dashboard" not in labels
    assert deployed().by_name("registry-dashboard").inputs["metadata"]["labels"]["grafana_dashboard"] == "1"


@pytest.mark.parametrize("name", ["registry-metrics", "registry-exporter-metrics"])
def test_a_monitor_selects_its_own_service_alone(name: str) -> None:
    engine = deployed()
    selector = spec_of(engine, f"{name}-monitor")["selector"]["matchLabels"]
    services = [each for each in engine.resources if each.type.endswith(":Service")]
    selected = [each.name for each in services if selector.items() <= each.inputs["metadata"]["labels"].items()]
    assert selected == [name]


# The exporter


def test_the_exporter_has_no_privileges_and_is_never_root() -> None:
    for storage in STORAGES:
        spec = pod(deployed(storage))
        (container,) = spec["containers"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 65532
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert all(mount["readOnly"] for mount in container["volumeMounts"])


def test_an_exporter_changes_no_owner_of_a_folder_of_root() -> None:
    assert "fsGroup" not in pod(deployed("folder"))["securityContext"]


def test_the_container_runs_the_whole_program() -> None:
    engine = deployed()
    (container,) = pod(engine)["containers"]
    command = ["python3", "-B", "-m", "job", "export", "--settings", "/etc/exporter/settings.json", "--port", "5002"]
    assert [*container["command"], *container["args"]] == command
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert mounts["settings"] == "/etc/exporter"
    (volume,) = [each for each in pod(engine)["volumes"] if each["name"] == "program"]
    paths = {each["key"]: each["path"] for each in volume["configMap"]["items"]}
    data = engine.by_name("registry-exporter-program").inputs["data"]
    assert paths.keys() == data.keys() == {file.name for file in PROGRAM.glob("*.py")}
    assert container["workingDir"] == "/opt/exporter"
    assert set(paths.values()) == {f"job/{name}" for name in data}


@pytest.mark.parametrize("storage", STORAGES)
def test_a_claim_is_mounted_unless_that_keeps_the_registry_on_its_node(storage: str) -> None:
    spec = pod(deployed(storage))
    assert ("repository" in [each["name"] for each in spec["volumes"]]) == (storage in MOUNTED)
    assert ("nodeSelector" in spec) == (storage in ("folder", "local"))
    assert "affinity" not in spec


@pytest.mark.parametrize("storage", STORAGES)
def test_the_program_reads_its_settings(storage: str) -> None:
    engine = deployed(storage)
    found = settings(engine)
    assert (found["storage"] is not None) == (storage in MEASURED)
    export = found["export"]
    assert (export["address"], export["port"]) == ("10.96.0.7", 5000)
    assert export["host"] == "docker-registry.docker-registry.svc"
    assert "BEGIN CERTIFICATE" in export["ca_pem"]
    expected = {} if storage in ("class of one Pod", "S3 with a role") else {"collect": 86400, "scrub": 604800}
    assert export["jobs"] == expected
    assert exporter_of(found)


def test_the_keys_of_a_bucket_are_in_a_secret_alone() -> None:
    engine = deployed("S3")
    assert is_secret(engine.by_name("registry-exporter-settings").inputs["stringData"])
    for each in engine.resources:
        if not each.type.endswith(":Secret"):
            assert "hunter23" not in str(each.inputs), each.name


def test_a_changed_setting_replaces_the_exporter() -> None:
    def checksum(engine: Engine) -> str:
        template = unwrap_secret(spec_of(engine, "registry-exporter")["template"])
        return str(template["metadata"]["annotations"]["checksum/config"])

    assert checksum(deployed()) != checksum(deployed(jobs=False))


@pytest.mark.parametrize(
    ("storage", "ports"), [("folder", [5000]), ("S3", [5000, 53, 53, 9000]), ("S3 with a role", [5000])]
)
def test_the_exporter_may_connect_to_the_registry_and_its_bucket_only(storage: str, ports: list[int]) -> None:
    engine = deployed(storage)
    policy = spec_of(engine, "registry-exporter-policy")
    egress = unwrap_secret(policy["egress"])
    assert [port["port"] for rule in egress for port in rule.get("ports", [])] == ports
    (peer,) = egress[0]["to"]
    registry_labels = unwrap_secret(engine.by_name("registry-policy").inputs["spec"])["podSelector"]["matchLabels"]
    assert peer == {"podSelector": {"matchLabels": registry_labels}}
    (rule,) = policy["ingress"]
    assert (rule["from"], [port["port"] for port in rule["ports"]]) == ([{"namespaceSelector": {}}], [5002])


def test_the_registry_accepts_the_exporter_though_it_is_no_client() -> None:
    engine = deploy_once("registry", {**ALERTS, "client_cidrs": ["192.0.2.0/24"]})
    template = unwrap_secret(spec_of(engine, "registry-exporter")["template"])["metadata"]["labels"]
    *_, rule = spec_of(engine, "registry-policy")["ingress"]
    (peer,) = rule["from"]
    assert peer["podSelector"]["matchLabels"].items() <= template.items()
    assert [port["port"] for port in rule["ports"]] == [5000]
    registry_selector = spec_of(engine, "registry-service")["selector"]
    assert not registry_selector.items() <= template.items(), "The Service would send clients to the exporter."


# The rules


FULL_SET = {
    *("RegistryDown", "RegistryErrors", "RegistryExporterDown", "RegistryStorageDown"),
    *("RegistryDiskFull", "RegistryDiskLow", "RegistryDiskFillUp"),
    *("RegistryInodesFull", "RegistryInodesLow", "RegistryInodesFillUp"),
    *("RegistryCertificateExpires", "RegistryCertificateExpiresSoon", "RegistryCertificateUntrusted"),
    *("RegistryCaExpires", "RegistryJobLate", "RegistryJobFailed", "RegistryDamaged"),
    *("RegistryOutOfMemory", "RegistryRestarts"),
}
OF_VOLUME = {name for name in FULL_SET if "Disk" in name or "Inodes" in name}
OF_RESULTS = {"RegistryJobFailed", "RegistryDamaged"}
OF_JOBS = {*OF_RESULTS, "RegistryJobLate"}


@pytest.mark.parametrize(
    ("storage", "missing"),
    [
        ("folder", set()),
        ("shared class", set()),
        ("S3", OF_VOLUME),
        ("class", {*OF_RESULTS, "RegistryStorageDown"}),
        ("class of one Pod", {*OF_JOBS, "RegistryStorageDown"}),
        ("S3 with a role", {*OF_VOLUME, *OF_JOBS, "RegistryStorageDown"}),
    ],
)
def test_a_registry_has_the_alerts_that_its_storage_allows(storage: str, missing: set[str]) -> None:
    assert expressions(deployed(storage)).keys() == FULL_SET - missing


def test_the_page_lists_every_alert_with_its_severity() -> None:
    page = (ROOT / "docs/monitoring.md").read_text()
    listed = {
        (name, severity)
        for cells, severity in re.findall(r"^\| (Registry[\w, ]+) \| (\w+) \|", page, re.MULTILINE)
        for name in cells.split(", ")
    }
    assert listed == {(rule["alert"], rule["labels"]["severity"]) for rule in rules(deployed())}


def test_the_page_lists_every_metric() -> None:
    page = (ROOT / "docs/monitoring.md").read_text()
    assert set(HELP) <= set(re.findall(r"`([a-z_]+)`", page))


def test_every_alert_has_a_summary_a_description_and_a_runbook() -> None:
    for rule in rules(deployed()):
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        assert rule["labels"]["namespace"] == "docker-registry"
        assert all(text.endswith(".") for text in rule["annotations"].values()), rule["alert"]
        assert re.fullmatch(r"\d+[mh]", rule["for"])


def test_a_runbook_names_commands_and_sections_that_exist() -> None:
    commands = typer.main.get_group(app).commands
    for storage in ("folder", "class", "S3"):
        for rule in rules(deployed(storage)):
            text = rule["annotations"]["runbook"]
            calls = re.findall(r"`python -m ops ([^`]+)`", text)
            assert calls, rule["alert"]
            for call in calls:
                name, *arguments = call.split()
                commands[name].make_context(name, arguments)
            pages = re.findall(r"docs/[\w.-]+\.md(?:#[\w-]+)?", text)
            assert pages, rule["alert"]
            for page in pages:
                assert has_section(*page.partition("#")[::2]), page


def has_section(page: str, section: str) -> bool:
    """Return whether a page has the section, by the anchor that GitHub derives from its title."""
    titles = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
    return not section or section in anchors


SELECTOR = re.compile(r"([a-z_:]+)\{([^}]*)\}")

OTHER_METRICS = re.compile(r"up|registry_http_\w+|kube_(?:pod_container_status|cronjob)_\w+|kubelet_volume_stats_\w+")
"""Metrics of Prometheus, of Distribution, of kube-state-metrics and of the kubelet."""


@pytest.mark.parametrize("storage", STORAGES)
def test_every_selector_names_the_registry_and_a_metric_that_exists(storage: str) -> None:
    engine = deployed(storage)
    texts = [text for texts in expressions(engine).values() for text in texts] + queries(engine)
    selectors = [match for text in texts for match in SELECTOR.findall(text)]
    assert selectors
    for metric, matchers in selectors:
        own = metric.removeprefix(PREFIX)
        assert (metric.startswith(PREFIX) and own in HELP) or OTHER_METRICS.fullmatch(metric), metric
        assert 'namespace="docker-registry"' in matchers
        assert re.search(r'(job|pod|persistentvolumeclaim|cronjob)=~?"', matchers), matchers


@pytest.mark.parametrize("storage", STORAGES)
def test_the_job_label_is_the_name_of_the_service(storage: str) -> None:
    engine = deployed(storage)
    services = {each.inputs["metadata"]["name"] for each in engine.resources if each.name.endswith("-metrics")}
    found = re.findall(r"\bjob=\"([^\"]+)\"", str([*expressions(engine).values(), *queries(engine)]))
    assert set(found) == services


def limits(inputs: Inputs) -> dict[str, str]:
    """Return the last number of the first expression of each alert."""
    found = expressions(deploy_once("registry", {**ALERTS, **inputs}))
    return {name: texts[0].rpartition("< ")[2] for name, texts in found.items() if "< " in texts[0]}


DAY = 86400


@pytest.mark.parametrize(
    ("inputs", "name", "limit"),
    [
        ({}, "RegistryCertificateExpires", 30 * DAY),
        ({}, "RegistryCertificateExpiresSoon", 7 * DAY),
        ({"certificate_days": 7, "renew_before_days": 2}, "RegistryCertificateExpires", 2 * DAY),
        ({"certificate_days": 1, "renew_before_days": 0}, "RegistryCertificateExpires", DAY),
        ({}, "RegistryCaExpires", 427 * DAY),
        ({"ca_generations": [1, 2]}, "RegistryCaExpires", 30 * DAY),
        ({}, "RegistryDiskLow", 0.1),
        ({}, "RegistryDiskFull", 0.03),
        ({"min_free": 20}, "RegistryDiskLow", 0.25),
        ({"min_free": 20}, "RegistryInodesFull", 0.2),
        ({"min_free": 2}, "RegistryInodesFull", 0.03),
    ],
)
def test_a_limit_follows_from_the_inputs(inputs: Inputs, name: str, limit: float) -> None:
    assert limits(inputs)[name] == str(limit)


def test_two_registries_have_different_rules_and_dashboards() -> None:
    first, second = deployed(), deploy_once("registry", {**ALL, "namespace": "other"})
    assert not {group["name"] for group in spec_of(first, "registry-alerts")["groups"]} & {
        group["name"] for group in spec_of(second, "registry-alerts")["groups"]
    }
    other = json.loads(second.by_name("registry-dashboard").inputs["data"]["docker-registry-other.json"])
    assert other["uid"] != board(first)["uid"]
    assert "docker-registry.docker-registry" not in json.dumps(other)


# The jobs


def test_the_rules_and_the_exporter_agree() -> None:
    for name in ("PREFIX", "LATE_PERIODS"):
        assert getattr(sources_module, name) == getattr(export, name)


def test_each_task_is_an_input_with_a_schedule() -> None:
    for task in TASKS:
        assert task.name in MaintenanceSettings.__annotations__
        assert task.name in typer.main.get_group(app).commands
        assert has_section(*task.section.partition("#")[::2])


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [
        ("30 2 * * *", DAY),
        ("*/15 * * * *", 900),
        ("0 4 * * 0", 7 * DAY),
        ("0 3 * * 1-5", 3 * DAY),
        ("0 6,18 * * *", DAY // 2),
        ("0 6,8 * * *", 22 * 3600),
        ("0 0 1 * *", 31 * DAY),
        ("0 0 29 2 *", (4 * 365 + 1) * DAY),
        ("* * * jan *", 335 * DAY + 60),
    ],
)
def test_the_period_is_the_longest_time_between_two_runs(schedule: str, seconds: int) -> None:
    assert longest_interval(parse_schedule(schedule)) == seconds


# The dashboard


def test_the_panels_fill_the_grid_without_overlapping() -> None:
    places = [panel["gridPos"] for panel in board(deployed())["panels"]]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_the_dashboard_has_ids_and_a_data_source_that_the_user_chooses() -> None:
    found = board(deployed())
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
    (variable,) = found["templating"]["list"]
    assert variable["query"] == "prometheus"
    for panel in found["panels"]:
        assert panel["datasource"]["uid"] == f"${{{variable['name']}}}"
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    assert len(found["uid"]) <= 40


@pytest.mark.parametrize("storage", STORAGES)
def test_the_dashboard_shows_what_the_storage_allows(storage: str) -> None:
    titles = {panel["title"] for panel in board(deployed(storage))["panels"]}
    assert {"Requests", "Duration of requests", "Pulls and pushes of manifests", "Traffic"} <= titles
    assert ("Disk" in titles) == (not storage.startswith("S3"))
    assert ("Damaged files" in titles) == (storage in MEASURED)


def test_texts_of_alerts_have_no_open_braces() -> None:
    sources = Sources("team", "docker-registry", "docker-registry-exporter", "repository", True, {"collect": 60})
    groups = alert_groups(Thresholds(30, 30, 10, 3), sources)
    for text in texts(groups):
        assert text.count("{{") == text.count("}}")
        assert text.count("{") == text.count("}")
    assert json.dumps(dashboard(sources)).count("{") > 0


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
