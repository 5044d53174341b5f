"""Refuse bad input on a running stack with one message, without an effect on the registry.

The offline tests check the rules. Only the engine shows how it prints their messages, and that it stops at preview.
"""

import time
from typing import Any

import pytest

from registry.inputs.table import INPUTS
from registry.validation.basics import refuse_unknown_keys
from registry.validation.storage import refuse_relocation
from tests.e2e.lab import NAMESPACE, STACK, Lab
from tests.e2e.messages import message

pytestmark = pytest.mark.e2e

SECRET = "hunter2-hunter2"

WRONG_VALUES: dict[str, Any] = {
    "hostname": "docker_registry",
    "storage_size": "2GB",
    "storage_path": "/etc",
    "port": 70000,
    "external_ips": ["127.0.0.1"],
}
STORAGE = {"node": "k8s-master", "storage_path": "/var/lib/docker-registry/repository", "storage_size": "2Gi"}
OTHER_STORAGE = {"node": "k8s-worker", "storage_path": "/srv/elsewhere", "storage_size": "4Gi"}

REFUSED: list[tuple[dict[str, Any], str]] = [
    # edit of the config, text in the output of the preview
    *(({key: value}, message(INPUTS[key].rule, value)) for key, value in WRONG_VALUES.items()),
    *(({key: value}, message(refuse_relocation, STORAGE, {key: value})) for key, value in OTHER_STORAGE.items()),
    ({"hostnam": "docker-registry"}, message(refuse_unknown_keys, ["hostnam"], INPUTS)),
    ({"node": "no-such-node"}, "`node` names the node 'no-such-node', which does not exist. "),
    ({"namespace": "renamed"}, "`namespace` was 'docker-registry' and cannot become 'renamed'"),
    ({"passwords": {"centos": SECRET}}, "`passwords` "),
    ({"port": "five thousand"}, "port"),
]


@pytest.mark.parametrize(
    ("edit", "text"), REFUSED, ids=[", ".join(f"{key}={value}" for key, value in edit.items()) for edit, _ in REFUSED]
)
def test_preview_refuses_a_bad_input_with_one_message(lab: Lab, edit: dict[str, Any], text: str) -> None:
    with lab.changed_config(**edit):
        start = time.monotonic()
        refused = lab.preview(check=False)
        seconds = time.monotonic() - start
    assert refused.returncode != 0
    output = refused.stdout + refused.stderr
    assert text in output
    assert "Traceback" not in output
    assert SECRET not in output
    print(f"{seconds:.1f} s")


def test_a_password_of_73_bytes_is_refused_and_not_shown(lab: Lab) -> None:
    long = "s3cret-" + "x" * 66
    with lab.changed_config(secret={"passwords.centos": long}):
        refused = lab.preview(check=False)
    output = refused.stdout + refused.stderr
    assert refused.returncode != 0
    assert message(INPUTS["passwords"].rule, {"centos": long}) in output
    assert "s3cret" not in output
    assert "Traceback" not in output


def test_a_refused_up_without_a_preview_leaves_the_registry_unchanged(lab: Lab) -> None:
    before = lab.get("pod", NAMESPACE)["metadata"]["uid"]
    edits: list[dict[str, Any]] = [{"storage_size": "2GB"}, {"node": "no-such-node"}, {"namespace": "renamed"}]
    for edit in edits:
        with lab.changed_config(**edit):
            assert lab.up(check=False).returncode != 0
    assert lab.get("pod", NAMESPACE)["metadata"]["uid"] == before
    lab.up()
    assert lab.get("pod", NAMESPACE)["status"]["phase"] == "Running"
    lab.pulumi("stack", "output", *STACK)
