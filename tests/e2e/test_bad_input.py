"""Bad input on a running stack: one clear message at preview, and the registry does not notice."""

import time
from typing import Any

import pytest

from tests.e2e.lab import NAMESPACE, STACK, Lab

pytestmark = pytest.mark.e2e

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"hostnam": "docker-registry"}, "`hostnam` must be a setting of the registry, got an unknown key: did you mean"),
    ({"hostname": "docker_registry"}, "`hostname` must be a DNS name in lower case"),
    ({"storage_size": "2GB"}, "`storage_size` must be a Kubernetes quantity, got '2GB': for example '2Gi'"),
    ({"storage_path": "/etc"}, "`storage_path` must be a folder of the registry's own"),
    ({"port": 70000}, "`port` must be a TCP port from 1 to 65535, got 70000"),
    ({"external_ips": ["127.0.0.1"]}, "`external_ips` must be addresses that other hosts can reach, got '127.0.0.1'"),
    (
        {"node": "no-such-node"},
        "registry-node-from-kubectl-get-nodes):\n    error: Preview failed: resource 'no-such-node' does",
    ),
    ({"node": "k8s-worker"}, "`node` must be 'k8s-master' as long as the images lie there"),
    ({"storage_path": "/srv/elsewhere"}, "`storage_path` must be '/var/lib/docker-registry/repository' as long as"),
    ({"storage_size": "4Gi"}, "`storage_size` must be '2Gi' as long as the images lie there"),
    ({"namespace": "renamed"}, "`namespace` must be 'docker-registry' as long as the stack lives"),
    ({"passwords": {"centos": "in plain text"}}, "`passwords` must be set as a secret, got a plain value"),
    ({"port": "five thousand"}, "port"),
]


@pytest.mark.parametrize(("edit", "message"), REFUSED, ids=[str(edit) for edit, _ in REFUSED])
def test_preview_refuses_it_in_one_clear_message(lab: Lab, edit: dict[str, Any], message: str) -> None:
    with lab.configured(**edit):
        began = time.monotonic()
        refused = lab.preview(check=False)
        seconds = time.monotonic() - began
    assert refused.returncode != 0
    shown = refused.stdout + refused.stderr
    assert message in shown
    # Of what the engine looks up in vain it ends the program itself, and its language host may say where that was.
    assert "Traceback" not in shown or edit == {"node": "no-such-node"}
    assert "in plain text" not in shown
    print(f"{seconds:.1f} s")


def test_a_password_of_73_bytes_is_refused_and_not_shown(lab: Lab) -> None:
    long = "s3cret-" + "x" * 66
    with lab.configured(secret={"passwords.centos": long}):
        refused = lab.preview(check=False)
    shown = refused.stdout + refused.stderr
    assert refused.returncode != 0
    assert "`passwords.centos` must be 1 to 72 bytes, got 73 bytes" in shown
    assert "s3cret" not in shown
    assert "Traceback" not in shown


def test_the_running_registry_is_untouched_even_by_an_up_without_preview(lab: Lab) -> None:
    before = lab.get("pod", NAMESPACE)["metadata"]["uid"]
    edits: list[dict[str, Any]] = [{"storage_size": "2GB"}, {"node": "no-such-node"}, {"namespace": "renamed"}]
    for edit in edits:
        with lab.configured(**edit):
            assert lab.up(check=False).returncode != 0
    assert lab.get("pod", NAMESPACE)["metadata"]["uid"] == before
    lab.up()
    assert lab.get("pod", NAMESPACE)["status"]["phase"] == "Running"
    lab.pulumi("stack", "output", *STACK)
