"""Edit the config, delete objects and destroy the stack. Each change affects as few resources as possible.

Only the real providers decide between an update and a replacement, and only real objects can be lost.
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from dev.toolchain.build import build_program
from tests.conftest import to_base64
from tests.e2e.lab import NAMESPACE, STACK, Lab, eventually
from tests.issuing import issue, server_spec

pytestmark = pytest.mark.e2e

PERMANENT = {"registry-namespace", "registry-data-claim", "registry-data-volume"}
"""Resources that no edit may replace, because the images depend on them."""

POD = {"registry-workload-pod": "replace"}
VERSION_LABEL = dict.fromkeys(
    [
        *PERMANENT,
        "registry-auth-secret",
        "registry-lease-of-192.168.56.10-5000",
        "registry-policy",
        "registry-service",
        "registry-tls-secret",
        "registry-workload-configuration",
    ],
    "update",
)
"""Operations on the objects whose version label changes with the image."""

CERTIFICATE = {"registry-tls-leaf": "replace", "registry-tls-secret": "replace", **POD}
"""Operations that give the registry another server certificate."""

EDITS: list[tuple[dict[str, Any], dict[str, str]]] = [
    # edit of the config, operations of the next `up` by resource name
    ({"certificate_days": 300}, CERTIFICATE),
    ({"image": "registry:2.7"}, {**VERSION_LABEL, **POD}),
    (
        {"port": 5001},
        {
            "registry-service": "replace",
            "registry-lease-of-192.168.56.10-5000": "delete",
            "registry-lease-of-192.168.56.10-5001": "create",
        },
    ),
    (
        {"exposure": "cluster", "external_ips": []},
        {
            **CERTIFICATE,
            "registry-tls-request": "replace",
            "registry-lease-of-192.168.56.10-5000": "delete",
            "registry-service": "update",
        },
    ),
    (
        {"users": ["centos", "jean"]},
        {
            "registry-auth-jean-password": "create",
            "registry-auth-jean-salt": "create",
            "registry-auth-secret": "replace",
        },
    ),
    ({"node_label": "registry=here"}, {"registry-label": "update", **POD}),
    ({"renew_before_days": 10}, {"registry-tls-leaf": "update"}),
]


@pytest.mark.parametrize(("edit", "expected"), EDITS, ids=[next(iter(edit)) for edit, _ in EDITS])
def test_an_edit_changes_only_the_affected_resources(
    lab: Lab, edit: Mapping[str, Any], expected: Mapping[str, str]
) -> None:
    """Only the real providers decide between an update and a replacement."""
    with lab.changed_config(**edit):
        changes = lab.planned_changes()
    assert changes == expected
    assert {changes.get(name, "update") for name in PERMANENT} == {"update"}, "No table may expect a lost image."


def test_a_chosen_password_changes_the_secret_and_not_the_pod(lab: Lab, outputs: dict[str, str]) -> None:
    """Only a kubelet delivers the changed file, and only a running registry reads it again."""
    pod_uid = lab.get("pod", NAMESPACE)["metadata"]["uid"]
    with lab.changed_config(secret={"passwords.centos": "correct horse battery"}):
        assert lab.planned_changes() == {"registry-auth-secret": "replace"}
        lab.up()
        password = "correct horse battery"
        eventually(120, "the registry accepts the new password", lambda: lab.log_in(password).returncode == 0)
        assert lab.log_in(outputs["password"]).returncode != 0, "the old password is refused"
        assert lab.get("pod", NAMESPACE)["metadata"]["uid"] == pod_uid
    lab.up()
    generated = lab.outputs()["password"]
    eventually(120, "the registry accepts the generated password again", lambda: lab.log_in(generated).returncode == 0)


def test_the_first_up_within_the_renewal_window_renews_the_certificate(lab: Lab) -> None:
    """Only the real provider compares the end of the certificate with the time.

    The test writes into the state that the certificate ends in 29 days, as after 327 of its 356 days.
    """
    state = json.loads(lab.pulumi("stack", "export", *STACK).stdout)
    (certificate,) = [
        resource for resource in state["deployment"]["resources"] if resource["urn"].endswith("::registry-tls-leaf")
    ]
    end = (datetime.now(UTC) + timedelta(days=29)).strftime("%Y-%m-%dT%H:%M:%SZ")
    certificate["outputs"]["validityEndTime"] = end
    lab.pulumi("stack", "import", *STACK, stdin=json.dumps(state))
    before = lab.get("secret", "cert-secret")["data"]["tls.crt"]
    changes = lab.planned_changes()
    assert changes.keys() == CERTIFICATE.keys(), "only the certificate and the objects that contain it"
    lab.up()
    after = lab.get("secret", "cert-secret")["data"]["tls.crt"]
    assert after != before
    lab.up("--expect-no-changes")
    lab.log_in(lab.outputs()["password"])
    assert lab.push("kept/renewed:1") == lab.pull("kept/renewed:1"), "clients still trust the registry"


def test_destroy_keeps_the_images_for_the_next_up(lab: Lab, outputs: dict[str, str]) -> None:
    """Only a node has the folder that the volume leaves behind."""
    lab.log_in(outputs["password"])
    digest = lab.push("kept/destroy:1")
    lab.pulumi("destroy", "--yes", "--skip-preview", *STACK, "--config-file", str(lab.config))
    assert NAMESPACE not in lab.kubectl("get", "namespaces", "--output", "name")
    assert lab.kubectl("get", "pv", "--output", "name") == "", "no volume is left"
    assert "run-docker-registry" not in lab.get("node", "k8s-master")["metadata"]["labels"]
    lab.up()
    new_outputs = lab.outputs()
    lab.trust(new_outputs)
    lab.log_in(new_outputs["password"])
    assert lab.pull("kept/destroy:1") == digest


@pytest.mark.parametrize("deleted", [("pvc", "repository"), ("namespace", NAMESPACE)], ids=["claim", "namespace"])
def test_up_restores_a_deleted_object_with_the_images(
    lab: Lab, outputs: dict[str, str], deleted: tuple[str, str]
) -> None:
    """Only the API server deletes objects that depend on each other, and only a node has the images."""
    lab.log_in(outputs["password"])
    digest = lab.push("kept/lost:1")
    if deleted[0] == "pvc":  # a claim is only deleted after the Pod that uses it
        lab.kubectl("delete", "--wait=false", "pvc", deleted[1], "--namespace", NAMESPACE)
        lab.kubectl("delete", "pod", NAMESPACE, "--namespace", NAMESPACE)
        lab.kubectl("wait", "--for=delete", "pvc/repository", "--namespace", NAMESPACE, "--timeout=60s", check=False)
    else:
        lab.kubectl("delete", *deleted)
    lab.up("--refresh")
    assert lab.get("pvc", "repository")["status"]["phase"] == "Bound"
    assert lab.pull("kept/lost:1") == digest


def test_up_restores_a_certificate_that_was_edited_by_hand(lab: Lab, outputs: dict[str, str], ca_file: str) -> None:
    """Only a kubelet delivers the edited file, and only a restarted process has read it."""
    lab.log_in(outputs["password"])
    pod_uid = lab.get("pod", NAMESPACE)["metadata"]["uid"]
    other = issue(server_spec(NAMESPACE))
    files = {"tls.crt": to_base64(other.pem), "tls.key": to_base64(other.key_pem)}
    exec_in_pod = ("exec", "--namespace", NAMESPACE, NAMESPACE, "--")
    lab.kubectl("patch", "secret", "cert-secret", "--namespace", NAMESPACE, "--patch", json.dumps({"data": files}))
    eventually(
        120,
        "the file is delivered",
        lambda: lab.kubectl(*exec_in_pod, "cat", "/certs/tls.crt").strip() == other.pem.strip(),
    )
    lab.kill_registry()
    untrusted = 60  # curl's exit code for a certificate that it does not trust
    eventually(60, "curl distrusts the server", lambda: lab.curl("/v2/", "--cacert", ca_file).returncode == untrusted)
    lab.up("--refresh")
    assert lab.get("pod", NAMESPACE)["metadata"]["uid"] != pod_uid
    assert lab.push("kept/edited:1") == lab.pull("kept/edited:1"), "clients trust the registry again"
    lab.up("--expect-no-changes")


def test_the_exact_values_of_the_guide_still_work(lab: Lab, outputs: dict[str, str]) -> None:
    """Only the real registry 2.7 shows whether it reads the component's files.

    Its image, RSA 4096 and the password `centos` are accepted, with two warnings.
    """
    lab.cluster.load_registry("2.7", build_program("registry-2.7") / "registry-2.7")
    lab.log_in(outputs["password"])
    digest = lab.push("kept/guide:1")
    with lab.changed_config(secret={"passwords.centos": "centos"}, image="registry:2.7", certificate_key="RSA-4096"):
        done = lab.up()
        assert "CVE-2026-41888" in done.stdout + done.stderr
        assert "easily guessed" in done.stdout + done.stderr
        outputs_of_guide = lab.outputs()
        lab.trust(outputs_of_guide)
        eventually(120, "the registry accepts the password `centos`", lambda: lab.log_in("centos").returncode == 0)
        assert lab.pull("kept/guide:1") == digest
        version = lab.kubectl("exec", "--namespace", NAMESPACE, NAMESPACE, "--", "registry", "--version")
        assert " v2.7" in version
        htpasswd_line = base64.b64decode(lab.get("secret", "auth-secret")["data"]["registry.password"]).decode()
        assert "$2b$10$" in htpasswd_line, "bcrypt has the cost 10 for a chosen password"
    lab.up()
    new_outputs = lab.outputs()
    lab.trust(new_outputs)
    generated = new_outputs["password"]
    eventually(120, "the registry accepts the generated password", lambda: lab.log_in(generated).returncode == 0)


def test_the_config_of_the_dev_stack_has_the_guides_address(lab: Lab) -> None:
    """Only the lab's copy of the config shows whether earlier tests have restored it."""
    settings = yaml.safe_load(lab.config.read_text())["config"]
    assert settings["private-registry:external_ips"] == ["192.168.56.10"]
