"""Refuse bad input on a running stack with one message, without an effect on the registry.

The offline tests check the rules. Only the engine shows how it prints their messages, and that it stops at preview.
"""

from typing import Any

import pytest

from dev.cluster.plan import MASTER, WORKER
from registry.inputs.table import INPUTS
from registry.validation.basics import refuse_unknown_keys
from registry.validation.storage import refuse_relocation
from tests.e2e.lab import NAMESPACE, STACK, STORAGE_PATH, Lab
from tests.e2e.messages import message

pytestmark = pytest.mark.e2e

SECRET = "hunter2-hunter2"
"""Password that no output may contain."""

INVALID_VALUES: dict[str, Any] = {
    "hostname": "docker_registry",
    "storage_size": "2GB",
    "storage_path": "/etc",
    "port": 70000,
    "external_ips": ["127.0.0.1"],
}
"""Invalid value of each input."""

CURRENT_STORAGE = {"node": MASTER.name, "storage_path": STORAGE_PATH, "storage_size": "2Gi"}
OTHER_STORAGE = {"node": WORKER.name, "storage_path": "/srv/elsewhere", "storage_size": "4Gi"}
"""Storage of the stack `dev`, which must not change, and other valid values of the same inputs."""

REFUSED_CHANGES: list[tuple[dict[str, Any], str]] = [
    # changed inputs, text in the output of the preview
    *(({key: value}, message(INPUTS[key].rule, value)) for key, value in INVALID_VALUES.items()),
    *(
        ({key: value}, message(refuse_relocation, CURRENT_STORAGE, {key: value}))
        for key, value in OTHER_STORAGE.items()
    ),
    ({"hostnam": "docker-registry"}, message(refuse_unknown_keys, ["hostnam"], INPUTS)),
    ({"node": "no-such-node"}, "`node` names the node 'no-such-node', which does not exist. "),
    ({"namespace": "renamed"}, "`namespace` was 'docker-registry' and cannot become 'renamed'"),
    ({"passwords": {"centos": SECRET}}, "`passwords` "),
    ({"port": "five thousand"}, "with configuration key 'port' must be of type 'integer'"),
]


@pytest.mark.parametrize(
    ("changes", "text"),
    REFUSED_CHANGES,
    ids=[", ".join(f"{key}={value}" for key, value in changes.items()) for changes, _ in REFUSED_CHANGES],
)
def test_preview_refuses_a_bad_input_with_one_message(lab: Lab, changes: dict[str, Any], text: str) -> None:
    """Only the engine shows how it prints the message of a failed program."""
    with lab.changed_config(**changes):
        refused = lab.preview(check=False)
    assert refused.returncode != 0
    output = refused.stdout + refused.stderr
    assert text in output
    assert "Traceback" not in output
    assert SECRET not in output


def test_a_password_of_73_bytes_is_refused_and_not_shown(lab: Lab) -> None:
    """Only the engine decrypts config, and prints errors that may contain it. bcrypt reads at most 72 bytes."""
    long_password = "s3cret-" + "x" * 66
    with lab.changed_config(secret={"passwords.centos": long_password}):
        refused = lab.preview(check=False)
    output = refused.stdout + refused.stderr
    assert refused.returncode != 0
    assert message(INPUTS["passwords"].rule, {"centos": long_password}) in output
    assert "s3cret" not in output
    assert "Traceback" not in output


def test_a_refused_up_without_a_preview_leaves_the_registry_unchanged(lab: Lab) -> None:
    """Only a running Pod can be replaced by an `up` that fails halfway."""
    pod_uid = lab.get("pod", NAMESPACE)["metadata"]["uid"]
    refused_changes: list[dict[str, Any]] = [
        {"storage_size": "2GB"},
        {"node": "no-such-node"},
        {"namespace": "renamed"},
    ]
    for changes in refused_changes:
        with lab.changed_config(**changes):
            assert lab.up(check=False).returncode != 0
    assert lab.get("pod", NAMESPACE)["metadata"]["uid"] == pod_uid
    lab.up()
    assert lab.get("pod", NAMESPACE)["status"]["phase"] == "Running"
    lab.pulumi("stack", "output", *STACK)
