"""The maintenance jobs that the component creates, and their schedules."""

import json
import re
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from registry import PrivateRegistry
from registry.maintenance import PROGRAM
from registry.maintenance.job.__main__ import open_storage
from registry.maintenance.job.retention import parse_rules
from registry.maintenance.job.s3 import S3Storage
from registry.validation.maintenance import rule_patterns, untagged_advice
from registry.validation.schedules import parse_schedule
from tests.conftest import Deploy, Engine, deploy_once, is_secret, to_base64, unwrap_secret

Inputs = dict[str, Any]

NIGHTLY = {"schedule": "30 2 * * *"}
BOTH: Inputs = {"collect": {**NIGHTLY, "timeout": "90m"}, "scrub": {"schedule": "0 4 * * 0", "days": 14, "heal": True}}
S3: Inputs = {
    **{"storage": "s3", "s3_bucket": "images", "s3_region": "eu-west-3", "s3_prefix": "team"},
    **{"s3_access_key": "AKIA1", "s3_secret_key": "hunter23", "s3_endpoint": "http://minio.storage:9000"},
}


def job(engine: Engine, task: str) -> Inputs:
    """Return the spec of a CronJob."""
    return dict(unwrap_secret(engine.by_name(f"registry-{task}").inputs["spec"]))


def pod(engine: Engine, task: str = "collect") -> Inputs:
    """Return the spec of the Pods of a CronJob."""
    return dict(unwrap_secret(unwrap_secret(job(engine, task)["jobTemplate"])["spec"]["template"])["spec"])


def settings(engine: Engine) -> Inputs:
    """Return the settings that the program reads."""
    data = engine.by_name("registry-maintenance-settings").inputs["stringData"]
    return dict(json.loads(unwrap_secret(unwrap_secret(data)["settings.json"])))


class TestOnAFolder:
    @pytest.fixture
    def engine(self) -> Engine:
        return deploy_once("registry", {**BOTH, "run_as_user": 65532})

    def test_each_job_has_its_schedule_and_one_run_at_a_time(self, engine: Engine) -> None:
        collect, scrub = job(engine, "collect"), job(engine, "scrub")
        assert (collect["schedule"], scrub["schedule"]) == ("30 2 * * *", "0 4 * * 0")
        for spec in (collect, scrub):
            assert (spec["timeZone"], spec["concurrencyPolicy"]) == ("Etc/UTC", "Forbid")
            assert spec["startingDeadlineSeconds"] == 3600
        assert unwrap_secret(collect["jobTemplate"])["spec"]["activeDeadlineSeconds"] == 5400

    def test_damage_ends_a_job_and_an_error_does_not(self, engine: Engine) -> None:
        spec = unwrap_secret(job(engine, "scrub")["jobTemplate"])["spec"]
        fail, ignore = spec["podFailurePolicy"]["rules"]
        assert spec["backoffLimit"] == 2
        assert (fail["action"], fail["onExitCodes"]["values"]) == ("FailJob", [3])
        assert ignore["action"] == "Ignore", "A Pod that a drain of its node ends has not failed."
        assert pod(engine)["restartPolicy"] == "Never", "A failure policy requires it."

    def test_the_pod_has_the_user_the_restrictions_and_the_node_of_the_registry(self, engine: Engine) -> None:
        spec, registry = pod(engine), unwrap_secret(engine.one("Pod").inputs["spec"])
        for key in ("securityContext", "nodeSelector", "tolerations", "automountServiceAccountToken"):
            assert spec[key] == registry[key], key
        (container,) = spec["containers"]
        assert container["securityContext"] == registry["containers"][0]["securityContext"]
        assert "affinity" not in spec

    def test_only_the_images_are_writable(self, engine: Engine) -> None:
        (container,) = pod(engine)["containers"]
        mounts = {each["mountPath"]: each.get("readOnly", False) for each in container["volumeMounts"]}
        assert mounts == {"/var/lib/registry": False, "/opt/maintenance": True, "/etc/maintenance": True}

    def test_the_container_runs_the_program_with_its_task(self, engine: Engine) -> None:
        (container,) = pod(engine)["containers"]
        assert container["workingDir"] == "/opt/maintenance"
        assert [*container["command"], *container["args"]] == ["python3", "-B", "-m", "job", "collect"]

    def test_the_program_is_a_package_of_all_its_modules(self, engine: Engine) -> None:
        config_map = engine.one("ConfigMap").inputs
        volumes = {each["name"]: each for each in pod(engine)["volumes"]}
        paths = {each["key"]: each["path"] for each in volumes["program"]["configMap"]["items"]}
        assert paths.keys() == config_map["data"].keys() == {file.name for file in PROGRAM.glob("*.py")}
        assert all(path == f"job/{name}" for name, path in paths.items())
        assert sum(map(len, config_map["data"].values())) < 500_000, "A ConfigMap has at most 1 MiB."

    def test_the_program_needs_nothing_but_the_standard_library(self) -> None:
        for file in PROGRAM.glob("*.py"):
            imported = re.findall(r"^(?:from|import) (\w+)", file.read_text(), re.MULTILINE)
            assert not {"pulumi", "kubernetes", "requests", "registry"} & set(imported), file.name

    def test_no_service_and_no_policy_of_the_registry_selects_the_jobs(self, engine: Engine) -> None:
        template = unwrap_secret(job(engine, "collect")["jobTemplate"])["spec"]["template"]
        labels = template["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "docker-registry-maintenance"
        assert labels["app.kubernetes.io/version"] == "3.14.2-alpine"
        assert not engine.one("Service").inputs["spec"]["selector"].items() <= labels.items()
        policy_of_registry = unwrap_secret(engine.by_name("registry-policy").inputs["spec"])
        assert not policy_of_registry["podSelector"]["matchLabels"].items() <= labels.items()
        policy = unwrap_secret(engine.by_name("registry-maintenance-policy").inputs["spec"])
        assert policy["podSelector"]["matchLabels"].items() <= labels.items()
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        assert not policy.get("ingress")
        assert not unwrap_secret(policy["egress"]), "A folder needs no network."

    def test_the_settings_of_a_folder_are_its_path_and_the_inputs_of_the_jobs(self, engine: Engine) -> None:
        assert settings(engine) == {
            "storage": {"folder": "/var/lib/registry"},
            "retention": [],
            "delete_untagged": False,
            "upload_hours": 24,
            "scrub": {"days": 14, "heal": True},
        }

    def test_a_changed_program_or_setting_changes_the_template(self, engine: Engine) -> None:
        def checksum(engine: Engine) -> str:
            template = unwrap_secret(job(engine, "collect")["jobTemplate"])["spec"]["template"]
            return str(template["metadata"]["annotations"]["checksum/config"])

        other = deploy_once("registry", {**BOTH, "run_as_user": 65532, "upload_hours": 3})
        assert checksum(engine) != checksum(other)


def test_the_jobs_add_objects_and_change_no_other_object() -> None:
    with_jobs, without = deploy_once("registry", BOTH), deploy_once("registry", {})
    names = {each.name for each in without.resources}
    inputs = [
        {(each.type, each.name): each.inputs for each in engine.resources if "Chart" not in each.type}
        for engine in (without, with_jobs)
    ]
    assert {each.name for each in with_jobs.resources} - names == {
        *("registry-collect", "registry-scrub", "registry-maintenance-policy"),
        *("registry-maintenance-program", "registry-maintenance-settings"),
    }
    assert inputs[0].items() <= inputs[1].items()


def test_only_the_job_whose_input_is_set_is_created(deploy: Deploy, engine: Engine) -> None:
    deploy(lambda: PrivateRegistry("registry", {"scrub": cast(Any, NIGHTLY)}))
    names = {each.name for each in engine.resources}
    assert "registry-scrub" in names
    assert "registry-collect" not in names


def test_a_job_for_a_bucket_has_its_keys_in_a_secret_and_may_connect_to_its_servers_only(
    deploy: Deploy, engine: Engine
) -> None:
    proxy = {"http": "http://jean:hunter24@proxy:3128", "no_proxy": "10.0.0.0/8"}
    deploy(lambda: PrivateRegistry("registry", cast(Any, {**BOTH, **S3, "outbound_proxy": proxy})))
    assert is_secret(engine.by_name("registry-maintenance-settings").inputs["stringData"])
    for each in engine.resources:
        if each.type.endswith(("CronJob", "ConfigMap", "NetworkPolicy")):
            assert "hunter2" not in str(each.inputs), each.name
    storage = settings(engine)["storage"]
    s3 = storage["s3"]
    assert {key: s3[key] for key in ("bucket", "region", "prefix", "access_key", "secret_key", "endpoint")} == {
        **{"bucket": "images", "region": "eu-west-3", "prefix": "team", "access_key": "AKIA1"},
        **{"secret_key": "hunter23", "endpoint": "http://minio.storage:9000"},
    }
    assert s3["proxies"] == {"http": proxy["http"]}
    assert {"10.0.0.0/8", "minio.storage", ".svc"} <= {*s3["no_proxy"].split(",")}
    assert isinstance(open_storage(storage), S3Storage)
    policy = unwrap_secret(engine.by_name("registry-maintenance-policy").inputs["spec"])
    ports = [port["port"] for rule in unwrap_secret(policy["egress"]) for port in rule.get("ports", [])]
    assert ports == [53, 53, 3128, 9000]
    assert [each["name"] for each in pod(engine)["volumes"]] == ["program", "settings"]


def test_the_keys_of_an_existing_secret_are_used(deploy: Deploy, engine: Engine) -> None:
    data = {"access-key": to_base64("AKIA2"), "secret-key": to_base64("hunter25")}
    engine.live["registry-data-from-kubectl-get-secrets"] = {"data": data}
    args = {"storage": "s3", "s3_bucket": "images", "s3_secret": "keys", "create_namespace": False, "collect": NIGHTLY}
    deploy(lambda: PrivateRegistry("registry", cast(Any, args)))
    assert settings(engine)["storage"]["s3"]["secret_key"] == "hunter25"
    assert is_secret(engine.by_name("registry-maintenance-settings").inputs["stringData"])


@pytest.mark.parametrize(("access", "needs_its_node"), [("ReadWriteOnce", True), ("ReadWriteMany", False)])
def test_a_job_runs_on_the_node_of_the_registry_if_only_one_node_can_mount_the_claim(
    deploy: Deploy, engine: Engine, access: str, needs_its_node: bool
) -> None:
    args = {"storage": "class", "storage_class": "fast", "storage_access": access, "collect": NIGHTLY}
    deploy(lambda: PrivateRegistry("registry", cast(Any, args)))
    spec = pod(engine)
    assert ("affinity" in spec) == needs_its_node
    if needs_its_node:
        (term,) = spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        labels = engine.one("Pod").inputs["metadata"]["labels"]
        assert term["labelSelector"]["matchLabels"].items() <= labels.items()


def test_globs_become_regular_expressions() -> None:
    rules = [{"repositories": ["team/*", "**"], "tags": ["pr-*", "v1.0"], "keep": 3}]
    (rule,) = parse_rules(rule_patterns(rules))
    assert rule.matches_repository("team/web")
    assert rule.matches_tag("pr-12")
    assert rule.matches_tag("v1.0")
    assert not rule.matches_tag("v1x0")
    (every,) = parse_rules(rule_patterns([{"repositories": ["a/*"], "keep_days": 1}]))
    assert every.matches_tag("_x")
    assert not every.matches_repository("a/b/c")


def test_delete_untagged_causes_a_warning() -> None:
    assert "names it by its digest" in untagged_advice({**NIGHTLY, "delete_untagged": True})
    assert untagged_advice(NIGHTLY) == ""


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("30 2 * * *", "2026-11-27 02:30"),
        ("30 12 * * *", "2026-11-26 12:30"),
        ("*/15 * * * *", "2026-11-26 12:15"),
        ("0 4 * * 0", "2026-11-29 04:00"),
        ("0 4 * * sun", "2026-11-29 04:00"),
        ("0 0 1 * *", "2026-12-01 00:00"),
        ("0 0 29 2 *", "2028-02-29 00:00"),
        ("0 0 1 * fri", "2026-11-27 00:00"),  # either day, if both are restricted
        ("0 0 */10 * fri", "2026-11-27 00:00"),  # a star with a step restricts the day
        ("0 0 * * fri", "2026-11-27 00:00"),
        ("0 0 11 * *", "2026-12-11 00:00"),
        ("5/20 12 * * *", "2026-11-26 12:05"),
    ],
)
def test_a_schedule_is_due_as_in_kubernetes(schedule: str, expected: str) -> None:
    now = datetime(2026, 11, 26, 12, 0, 30, tzinfo=UTC)
    due = parse_schedule(schedule).next_after(now)
    assert due is not None
    assert f"{due:%Y-%m-%d %H:%M}" == expected
