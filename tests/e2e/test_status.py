"""Run `ops status`: a healthy registry needs no action, and every other state has a remedy.

The offline tests have fake servers. They cannot show drift, nodes and free space, which only a real stack has.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.lab import ADDRESS, NAMESPACE, STACK, Lab, Registry

pytestmark = pytest.mark.e2e

OPS = (sys.executable, "-m", "ops")
TARGET_KEYS = ("endpoint", "stack", "healthy")
"""First keys of the report, before its rows."""

SETTINGS: dict[str, Any] = {
    "namespace": "watched",
    "storage_path": "/var/lib/watched",
    "port": 5025,
    "exposure": "external-ips",
    "external_ips": [ADDRESS],
}


def read_report(registry: Registry, *arguments: str) -> dict[str, Any]:
    """Return the report in JSON. Check the exit code, too."""
    done = registry.ops("status", "--json", *arguments)
    report = dict(json.loads(done.stdout or "{}"))
    assert done.returncode == (0 if report.get("healthy") else 1), done.stdout + done.stderr
    return report


def replace_restarted_pod(lab: Lab) -> None:
    """Replace the Pod if an earlier test has ended its container, because the report would contain the restart."""
    if lab.get("pod", NAMESPACE)["status"]["containerStatuses"][0]["restartCount"]:
        lab.kubectl("delete", "pod", NAMESPACE, "--namespace", NAMESPACE, "--grace-period=1")
        lab.up("--refresh")


def test_a_healthy_registry_needs_no_action_and_the_report_holds_no_secret(lab: Lab) -> None:
    replace_restarted_pod(lab)
    done = lab.environment.run(*OPS, "status", *STACK, "--address", ADDRESS, "--json", check=False)
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert report["healthy"]
    rows = {key: row for key, row in report.items() if key not in TARGET_KEYS}
    assert list(rows) == [
        "leaf",
        "authorities",
        "rotation",
        "users",
        "image",
        "push",
        "space",
        "volume",
        "restarts",
        "secrets",
        "servers",
        "nodes",
        "collect",
        "scrub",
        "backup",
        "drift",
    ]
    assert {key: row["remedy"] for key, row in rows.items()} == dict.fromkeys(rows, "")
    assert 355 <= rows["leaf"]["facts"]["days"] <= 356
    assert [each["generation"] for each in rows["authorities"]["facts"]] == rows["rotation"]["facts"] == [1]
    assert rows["users"]["facts"] == ["centos"]
    assert rows["image"]["facts"] == [lab.get("pod", NAMESPACE)["spec"]["containers"][0]["image"]]
    assert rows["push"]["facts"]["mode"] == "read-write"
    assert {secret["name"] for secret in rows["secrets"]["facts"]} > {"cert-secret", "configuration-secret"}
    assert rows["restarts"]["facts"] == []
    assert rows["volume"]["facts"]["is_folder"]
    assert 0 < rows["space"]["facts"]["free"] < rows["space"]["facts"]["size"]
    assert rows["drift"]["facts"] == {}
    assert lab.outputs()["password"] not in done.stdout + done.stderr


def test_with_an_endpoint_and_its_ca_the_report_has_only_the_tls_rows(lab: Lab, ca_file: str) -> None:
    options = ("--endpoint", f"{NAMESPACE}:5000", "--ca", ca_file, "--address", ADDRESS)
    done = lab.environment.run(*OPS, "status", *options, "--json", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert list(report) == [*TARGET_KEYS, "leaf", "authorities", "rotation"]
    assert report["leaf"]["facts"]["trusted"]
    refused = lab.environment.run(*OPS, "status", *options[:4], "--address", f"{ADDRESS}:5999", check=False)
    assert refused.returncode == 1
    assert "refused" in refused.stdout


def test_a_short_certificate_and_an_unfinished_rotation_need_action(
    lab: Lab, deploy_registry: Callable[..., Registry]
) -> None:
    short = {"certificate_days": 20, "renew_before_days": 5}
    registry = deploy_registry("watched", ca_generations=[1, 2], node_trust=True, **short, **SETTINGS)
    report = read_report(registry)
    assert "last 5 days (`renew_before_days`)" in report["leaf"]["remedy"]
    assert report["leaf"]["facts"]["signer"] == "docker-registry CA"
    assert report["rotation"]["facts"] == [1, 2]
    assert "`ca_generations` to [2, 1]" in report["rotation"]["remedy"]
    assert [each["name"] for each in report["authorities"]["facts"]] == ["docker-registry CA", "docker-registry CA 2"]
    assert report["nodes"]["facts"] == {"ready": 2, "desired": 2}
    assert report["drift"]["facts"] == {}
    table = registry.ops("status", "--no-drift")
    assert table.returncode == 1
    assert "!  certificate" in table.stdout
    assert f"→ certificate: {report['leaf']['remedy']}" in table.stdout
    assert registry.outputs["password"] not in table.stdout + table.stderr + json.dumps(report)


def test_changed_and_removed_objects_are_drift(lab: Lab, deploy_registry: Callable[..., Registry]) -> None:
    registry = deploy_registry("watched", image="registry:3.1.2", **SETTINGS)
    assert read_report(registry)["drift"]["facts"] == {}
    label = "app.kubernetes.io/instance=other"
    lab.kubectl("label", "--overwrite", "networkpolicy", NAMESPACE, label, "--namespace", "watched")
    after_label = read_report(registry)
    assert after_label["drift"]["facts"] == {"update": 1}
    assert "pulumi up --refresh --stack watched" in after_label["drift"]["remedy"]
    assert after_label["leaf"]["remedy"] == ""
    lab.kubectl("delete", "service", NAMESPACE, "--namespace", "watched")
    after_deletion = read_report(registry)
    assert after_deletion["drift"]["facts"]["create"] >= 1
    assert after_deletion["drift"]["facts"]["update"] >= 1
    assert "no answer" in after_deletion["leaf"]["seen"] or "refused" in after_deletion["leaf"]["seen"], (
        "the report is complete"
    )
    registry.project.up("--refresh")
    assert read_report(registry)["healthy"]
