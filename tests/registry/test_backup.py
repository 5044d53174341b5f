"""The CronJobs of `backup`, and the registries in their Pods."""

import json
from dataclasses import replace
from typing import Any

import pytest

from registry.maintenance import backup
from registry.maintenance.job.__main__ import open_storage
from registry.maintenance.job.s3 import S3Storage
from registry.validation.errors import InvalidInput
from registry.validation.quotas import Container, Demand, refuse_exceeded_quotas
from tests.conftest import Engine, deploy_once, is_secret, unwrap_secret
from tests.issuing import CertificateSpec, issue

Inputs = dict[str, Any]

CA = issue(CertificateSpec())
NIGHTLY = {"schedule": "30 1 * * *"}
LOGIN = {"backup_user": "ci", "backup_password": "hunter25"}
TO_CLAIM: Inputs = {"backup": {**NIGHTLY, "to": {"claim": "my-backup"}, "timeout": "2h"}}
TO_S3: Inputs = {
    "backup": {**NIGHTLY, "to": {"s3": {"bucket": "team", "endpoint": "https://s3.example.com:9000", "prefix": "a/b"}}},
    "backup_ca": CA.pem,
    **LOGIN,
}
TO_REGISTRY: Inputs = {
    "backup": {**NIGHTLY, "to": {"registry": {"url": "https://backup.example.com", "prefix": "site-a"}}},
    "backup_ca": CA.pem,
    **LOGIN,
}
IN_S3: Inputs = {"storage": "s3", "s3_bucket": "images", "s3_access_key": "AKIA1", "s3_secret_key": "hunter23"}


def cron_job(engine: Engine, task: str) -> Inputs:
    return dict(unwrap_secret(engine.by_name(f"registry-{task}").inputs["spec"]))


def pod(engine: Engine, task: str) -> Inputs:
    template = unwrap_secret(cron_job(engine, task)["jobTemplate"])["spec"]["template"]
    return dict(unwrap_secret(template["spec"]))


def sidecars(engine: Engine, task: str) -> dict[str, Inputs]:
    """Return the registries in the Pod of a task by name."""
    containers = pod(engine, task)["initContainers"]
    return {each["name"]: each for each in containers if each.get("restartPolicy") == "Always"}


def files(engine: Engine) -> dict[str, str]:
    data = unwrap_secret(engine.by_name("registry-maintenance-settings").inputs["stringData"])
    return {name: unwrap_secret(text) for name, text in data.items()}


def configuration(engine: Engine, task: str, registry: str) -> Inputs:
    """Return the configuration that a registry in the Pod of a task reads."""
    (_, path) = sidecars(engine, task)[registry]["args"]
    return dict(json.loads(files(engine)[path.removeprefix("/etc/maintenance/")]))


def variables(container: Inputs) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in container["env"]}


class TestOnAClaim:
    @pytest.fixture
    def engine(self) -> Engine:
        return deploy_once("registry", TO_CLAIM)

    def test_a_backup_has_its_schedule_and_a_restore_never_runs_by_itself(self, engine: Engine) -> None:
        jobs = {task: cron_job(engine, task) for task in ("backup", "restore")}
        assert {task: job["suspend"] for task, job in jobs.items()} == {"backup": False, "restore": True}
        for job in jobs.values():
            assert job["schedule"] == "30 1 * * *"
            assert unwrap_secret(job["jobTemplate"])["spec"]["activeDeadlineSeconds"] == 7200

    def test_the_source_is_read_only(self, engine: Engine) -> None:
        for task, source, target in (("backup", "live", "backup"), ("restore", "backup", "live")):
            for registry, is_read_only in ((source, True), (target, False)):
                maintenance = configuration(engine, task, registry)["storage"]["maintenance"]
                assert maintenance["readonly"]["enabled"] == is_read_only
                assert not maintenance["uploadpurging"]["enabled"]
        mounts = {
            task: {each["name"]: each.get("readOnly", False) for each in sidecars(engine, task)["live"]["volumeMounts"]}
            for task in ("backup", "restore")
        }
        assert (mounts["backup"]["repository"], mounts["restore"]["repository"]) == (True, False)

    def test_the_registries_are_reached_only_in_their_pod(self, engine: Engine) -> None:
        addresses = {name: configuration(engine, "backup", name)["http"]["addr"] for name in ("live", "backup")}
        assert addresses == {"live": "127.0.0.1:5001", "backup": "127.0.0.1:5002"}

    def test_each_registry_serves_its_claim(self, engine: Engine) -> None:
        volumes = {each["name"]: each for each in pod(engine, "backup")["volumes"]}
        assert volumes["backup"]["persistentVolumeClaim"]["claimName"] == "my-backup"
        for name, path in (("live", "/var/lib/registry"), ("backup", "/var/lib/backup")):
            assert configuration(engine, "backup", name)["storage"]["filesystem"] == {"rootdirectory": path}
            mounts = [each["mountPath"] for each in sidecars(engine, "backup")[name]["volumeMounts"]]
            assert mounts == [path, "/etc/maintenance"]

    def test_the_registries_are_like_the_one_that_serves_clients(self, engine: Engine) -> None:
        (registry,) = unwrap_secret(engine.one("Pod").inputs["spec"])["containers"]
        for sidecar in sidecars(engine, "restore").values():
            for key in ("image", "imagePullPolicy", "securityContext"):
                assert sidecar[key] == registry[key], key
            assert variables(sidecar)["GOMEMLIMIT"] == str(512 * 2**20 * 85 // 100)

    def test_the_program_runs_the_tool_of_the_image(self, engine: Engine) -> None:
        spec = pod(engine, "backup")
        tool, (main,) = spec["initContainers"][-1], spec["containers"]
        assert tool["image"] == "ghcr.io/regclient/regsync:v0.11.7-alpine"
        assert tool["command"] == ["sh", "-c", 'cp "$(command -v regsync)" /opt/regsync/']
        assert main["args"] == ["backup"]
        assert {"name": "tool", "mountPath": "/opt/regsync", "readOnly": True} in main["volumeMounts"]
        assert json.loads(files(engine)["settings.json"])["backup"] == {
            "live": {"url": "http://127.0.0.1:5001", "container": "live"},
            "backup": {"url": "http://127.0.0.1:5002", "container": "backup"},
            **{"regsync": "/opt/regsync/regsync", "proxies": {}, "no_proxy": ""},
            "storage": {"folder": "/var/lib/backup"},
        }

    def test_no_server_is_reached(self, engine: Engine) -> None:
        assert not unwrap_secret(engine.by_name("registry-maintenance-policy").inputs["spec"])["egress"]


def test_a_bucket_has_its_own_keys_and_ca() -> None:
    engine = deploy_once("registry", TO_S3)
    s3 = configuration(engine, "restore", "backup")["storage"]["s3"]
    assert (s3["bucket"], s3["rootdirectory"], s3["accesskey"], s3["secretkey"]) == ("team", "/a/b", "ci", "hunter25")
    storage = json.loads(files(engine)["settings.json"])["backup"]["storage"]
    opened = open_storage(storage)
    assert isinstance(opened, S3Storage)
    opened.close()
    assert (storage["s3"]["prefix"], storage["s3"]["ca_pem"]) == ("a/b", CA.pem)
    assert (s3["regionendpoint"], s3["region"]) == ("https://s3.example.com:9000", "us-east-1")
    backup_registry = sidecars(engine, "backup")["backup"]
    assert variables(backup_registry)["SSL_CERT_FILE"] == "/etc/maintenance/backup-ca.pem"
    assert files(engine)["backup-ca.pem"] == CA.pem
    assert "SSL_CERT_FILE" not in variables(sidecars(engine, "backup")["live"])
    policy = unwrap_secret(engine.by_name("registry-maintenance-policy").inputs["spec"])
    assert {"ports": [{"protocol": "TCP", "port": 9000}]} in unwrap_secret(policy["egress"])
    data = engine.by_name("registry-maintenance-settings").inputs["stringData"]
    assert is_secret(data) or all(map(is_secret, data.values()))


def test_another_registry_needs_no_registry_in_the_pod() -> None:
    engine = deploy_once("registry", TO_REGISTRY)
    assert [*sidecars(engine, "backup")] == ["live"]
    program = json.loads(files(engine)["settings.json"])["backup"]
    assert program["backup"] == {
        **{"url": "https://backup.example.com", "prefix": "site-a", "username": "ci", "password": "hunter25"},
        "ca_pem": CA.pem,
    }
    assert program["storage"] == {}
    assert "backup-source.yml" not in files(engine)
    policy = unwrap_secret(engine.by_name("registry-maintenance-policy").inputs["spec"])
    assert {"ports": [{"protocol": "TCP", "port": 443}]} in unwrap_secret(policy["egress"])


def test_images_in_a_bucket_are_served_from_it() -> None:
    engine = deploy_once("registry", {**TO_CLAIM, **IN_S3, "upstream_ca": CA.pem})
    assert configuration(engine, "backup", "live")["storage"]["s3"]["bucket"] == "images"
    assert variables(sidecars(engine, "backup")["live"])["SSL_CERT_FILE"] == "/etc/maintenance/live-ca.pem"
    assert "affinity" not in pod(engine, "backup")


def test_the_containers_use_the_outbound_proxies() -> None:
    proxies = {"https": "http://jean:hunter24@proxy.example.com:3128", "no_proxy": ".example.net"}
    engine = deploy_once("registry", {**TO_REGISTRY, "outbound_proxy": proxies})
    (main,) = pod(engine, "backup")["containers"]
    references = {each["name"]: each.get("valueFrom") for each in main["env"]}
    assert references["HTTPS_PROXY"]["secretKeyRef"]["key"] == "https-proxy"
    assert files(engine)["https-proxy"] == proxies["https"]
    assert "127.0.0.0/8" in variables(main)["NO_PROXY"]
    assert json.loads(files(engine)["settings.json"])["backup"]["proxies"] == {"https": proxies["https"]}


def test_a_backup_needs_the_quota_of_its_containers() -> None:
    quota = {"metadata": {"name": "small"}, "spec": {"hard": {"limits.memory": "1Gi"}}}
    container = Container("", {}, {"memory": "256Mi"})
    demand = Demand(1, [container], [container], {}, sidecars=[container] * 2)
    refuse_exceeded_quotas("team", [quota], [], demand, is_deployed=False)
    with pytest.raises(InvalidInput) as refusal:
        refuse_exceeded_quotas("team", [quota], [], replace(demand, sidecars=[container] * 3), is_deployed=False)
    assert refusal.value.code == "quota-exceeded"


def test_the_ports_of_the_registries_differ() -> None:
    assert len({*backup.PORTS.values()}) == 2
