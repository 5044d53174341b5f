"""Run `ops status`: a healthy registry needs no action, and every other state has a remedy.

The offline tests have fake servers. They cannot show drift, nodes and free space, which only a real stack has.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops.status.elements import format_size
from tests.browser import open_browser
from tests.e2e.lab import ADDRESS, NAMESPACE, STACK, Lab, Registry, marked_block

pytestmark = pytest.mark.e2e

OPS = (sys.executable, "-m", "ops")
OCI = "application/vnd.oci.image."
"""Start of the media types of images."""

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


def push_manifest(registry: Registry, reference: str, **fields: Any) -> dict[str, Any]:
    """Push a manifest with these fields. Return its descriptor."""
    content = json.dumps({"schemaVersion": 2, **fields})
    digest = f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"
    repository, _, tag = reference.partition(":")
    put = ("--request", "PUT", "--data-binary", content, "--header", f"Content-Type: {fields['mediaType']}")
    assert registry.status(f"/v2/{repository}/manifests/{tag or digest}", *put) == 201
    return {"mediaType": fields["mediaType"], "digest": digest, "size": len(content)}


def push_index(registry: Registry, repository: str, tag: str) -> tuple[str, int]:
    """Push an index of two images that share a layer. Return its digest, and the bytes that the registry stores."""
    contents = ["{}", "a shared layer", "a layer of amd64", "a layer of arm64"]
    config, shared, *own = (
        {"mediaType": OCI + kind, "digest": registry.push(repository, content), "size": len(content)}
        for content, kind in zip(contents, ["config.v1+json", *3 * ["layer.v1.tar"]], strict=True)
    )
    images = []
    for layer, architecture in zip(own, ("amd64", "arm64"), strict=True):
        layers = {"config": config, "layers": [shared, layer]}
        image = push_manifest(registry, repository, mediaType=f"{OCI}manifest.v1+json", **layers)
        images.append({**image, "platform": {"os": "linux", "architecture": architecture}})
    index = push_manifest(registry, f"{repository}:{tag}", mediaType=f"{OCI}index.v1+json", manifests=images)
    return index["digest"], sum(map(len, contents)) + sum(each["size"] for each in (*images, index))


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
    scrub = {"schedule": "30 2 * * *"}
    registry = deploy_registry("watched", ca_generations=[1, 2], node_trust=True, scrub=scrub, **short, **SETTINGS)
    digest, size = push_index(registry, "team/web", "1.0")
    scrubbed = registry.ops("scrub", connects=False)
    assert scrubbed.returncode == 0, scrubbed.stdout + scrubbed.stderr
    report = read_report(registry)
    assert "last 5 days (`renew_before_days`)" in report["leaf"]["remedy"]
    assert report["leaf"]["facts"]["signer"] == "docker-registry CA"
    assert report["rotation"]["facts"] == [1, 2]
    assert "`ca_generations` to [2, 1]" in report["rotation"]["remedy"]
    assert [each["name"] for each in report["authorities"]["facts"]] == ["docker-registry CA", "docker-registry CA 2"]
    nodes = {"k8s-master": True, "k8s-worker": True}
    assert report["nodes"]["facts"] == {"ready": 2, "desired": 2, "nodes": nodes}
    assert report["scrub"]["facts"]["last_success"] < report["scrub"]["facts"]["next_run"]
    assert report["drift"]["facts"] == {}
    command = marked_block("status-page", "sh", "docs/operating.md")
    table = registry.ops(*command.removeprefix("python -m ops ").split(), "--no-drift")
    assert table.returncode == 1, table.stdout + table.stderr
    assert "!  certificate" in table.stdout
    assert f"→ certificate: {report['leaf']['remedy']}" in table.stdout
    page = registry.project.folder / "status.html"
    expect_page(page, digest, size)
    assert registry.outputs["password"] not in table.stdout + table.stderr + json.dumps(report) + page.read_text()


def expect_page(page: Path, digest: str, size: int) -> None:
    """Assert that a browser shows the image, the nodes and the job of the registry, on a phone and without errors."""
    with open_browser() as browser:
        browser.open(page, 360, 740)
        rows = browser.run(
            "Array.from(document.querySelectorAll('.tags tbody tr')).map((row) => "
            "Array.from(row.children).flatMap((cell) => [cell, ...cell.children]).map((part) => part.textContent))"
        )
        assert rows == [["1.0linux/amd64, linux/arm64", "1.0", "linux/amd64, linux/arm64", digest, format_size(size)]]
        texts = {name: browser.run(f"document.getElementById('{name}').textContent") for name in ("nodes", "jobs")}
        assert "k8s-master" in texts["nodes"]
        assert "k8s-worker" in texts["nodes"]
        assert "no damage" in texts["jobs"]
        assert browser.run("document.documentElement.scrollWidth <= innerWidth")
        assert browser.complaints() == []


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
    report = read_report(registry)
    assert report["healthy"], report
