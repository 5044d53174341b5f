"""`python -m ops status`: a registry in order needs nobody, and what is out of order is seen, with its remedy."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from dev.workplace import PROJECT
from tests.e2e.lab import ADDRESS, NAMESPACE, STACK, Lab, Registry

pytestmark = pytest.mark.e2e

OPS = (sys.executable, "-m", "ops")
WHERE: dict[str, Any] = {
    **{"namespace": "watched", "storage_path": "/var/lib/watched", "port": 5025},
    **{"exposure": "external-ips", "external_ips": [ADDRESS]},
}


def ops(served: Registry, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command for the registry of another project, whose folder has `ops` beside its program then."""
    folder = served.project.folder
    if not (folder / "ops").exists():
        (folder / "ops").symlink_to(PROJECT / "ops")
    of_it = ("--stack", folder.name, "--address", served.at)
    return served.project.lab.place.run("env", "--chdir", str(folder), *OPS, *arguments, *of_it, check=False)


def status(served: Registry, *arguments: str) -> dict[str, Any]:
    """The report, and whether the exit code fits it."""
    done = ops(served, "status", "--json", *arguments)
    shown = dict(json.loads(done.stdout or "{}"))
    assert done.returncode == (0 if shown.get("healthy") else 1), done.stdout + done.stderr
    return shown


def test_a_registry_in_order_needs_nobody_and_shows_no_secret(lab: Lab) -> None:
    done = lab.place.run(*OPS, "status", *STACK, "--address", ADDRESS, "--json", check=False)
    shown = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert shown["healthy"]
    rows = {key: shown[key] for key in list(shown)[3:]}
    assert list(rows) == ["leaf", "authorities", "rotation", "users", "image", "space", "nodes", "drift"]
    assert {key: row["remedy"] for key, row in rows.items()} == dict.fromkeys(rows, "")
    assert 355 <= rows["leaf"]["facts"]["days"] <= 356
    assert [each["generation"] for each in rows["authorities"]["facts"]] == rows["rotation"]["facts"] == [1]
    assert rows["users"]["facts"] == ["centos"]
    assert rows["image"]["facts"] == [lab.get("pod", NAMESPACE)["spec"]["containers"][0]["image"]]
    assert 0 < rows["space"]["facts"]["free"] < rows["space"]["facts"]["size"]
    assert rows["drift"]["facts"] == {}
    assert lab.outputs()["password"] not in done.stdout + done.stderr


def test_a_bare_endpoint_and_its_ca_tell_what_tls_tells(lab: Lab, ca: str) -> None:
    of_it = ("--endpoint", f"{NAMESPACE}:5000", "--ca", ca, "--address", ADDRESS)
    done = lab.place.run(*OPS, "status", *of_it, "--json", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = json.loads(done.stdout)
    assert list(shown)[3:] == ["leaf", "authorities", "rotation"]
    assert shown["leaf"]["facts"]["trusted"]
    without = lab.place.run(*OPS, "status", *of_it[:4], "--address", f"{ADDRESS}:5999", check=False)
    assert without.returncode == 1
    assert "connection refused" in without.stdout


def test_a_short_leaf_and_a_rotation_half_way_need_a_person(lab: Lab, registry: Callable[..., Registry]) -> None:
    short = {"certificate_days": 20, "renew_before_days": 5}
    served = registry("watched", ca_generations=[1, 2], node_trust=True, **short, **WHERE)
    shown = status(served)
    assert shown["leaf"]["remedy"] == "`pulumi up` renews it in its last 5 days (`renew_before_days`)"
    assert shown["leaf"]["facts"]["signer"] == "docker-registry CA"
    assert shown["rotation"]["facts"] == [1, 2]
    assert shown["rotation"]["remedy"].endswith("then set ca_generations to [2, 1]")
    assert [each["name"] for each in shown["authorities"]["facts"]] == ["docker-registry CA", "docker-registry CA 2"]
    assert shown["nodes"]["facts"] == {"ready": 2, "desired": 2}
    assert shown["drift"]["facts"] == {}
    table = ops(served, "status", "--no-drift")
    assert table.returncode == 1
    assert "!  certificate" in table.stdout
    assert "→ certificate: `pulumi up` renews it in its last 5 days" in table.stdout
    assert served.outputs["password"] not in table.stdout + table.stderr + json.dumps(shown)


def test_what_somebody_changed_or_removed_is_drift(lab: Lab, registry: Callable[..., Registry]) -> None:
    served = registry("watched", image="registry:3.1.2", **WHERE)
    assert status(served)["drift"]["facts"] == {}
    label = "app.kubernetes.io/instance=other"
    lab.kubectl("label", "--overwrite", "networkpolicy", NAMESPACE, label, "--namespace", "watched")
    drifted = status(served)
    assert drifted["drift"]["facts"] == {"update": 1}
    assert "pulumi up --refresh --stack watched" in drifted["drift"]["remedy"]
    assert drifted["leaf"]["remedy"] == ""
    lab.kubectl("delete", "service", NAMESPACE, "--namespace", "watched")
    gone = status(served)
    assert gone["drift"]["facts"]["create"] >= 1
    assert gone["drift"]["facts"]["update"] >= 1
    assert "no answer" in gone["leaf"]["seen"] or "refused" in gone["leaf"]["seen"], "and the rest is told all the same"
    served.project.up("--refresh")
    assert status(served)["healthy"]
