"""What an edit of the config changes, and what no edit may ever change: the volume, the claim, the namespace."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from dev.toolchain.build import build_program
from tests.e2e.lab import NAMESPACE, STACK, Lab, eventually

pytestmark = pytest.mark.e2e

LASTING = {"registry-namespace", "registry-data-claim", "registry-data-volume"}
POD = {"registry-workload-pod": "replace"}
LEAF = {"registry-tls-leaf": "replace", "registry-tls-secret": "replace", **POD}


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        ({"certificate_days": 300}, LEAF),
        ({"image": "registry:2.7"}, POD),
        (
            {"port": 5001},
            {
                **{"registry-service": "replace"},
                **{
                    "registry-lease-of-192.168.56.10-5000": "delete",
                    "registry-lease-of-192.168.56.10-5001": "create",
                },
            },
        ),
        (
            {"exposure": "cluster", "external_ips": []},
            {
                **{
                    "registry-tls-request": "replace",
                    "registry-lease-of-192.168.56.10-5000": "delete",
                    **LEAF,
                },
                **{"registry-service": "update", "registry-service-of-the-cluster": "discard"},
            },
        ),
        (
            {"users": ["centos", "jean"]},
            {
                **{"registry-auth-jean-password": "create", "registry-auth-jean-salt": "create"},
                **{"registry-auth-secret": "replace"},
            },
        ),
        ({"node_label": "registry=here"}, {"registry-label": "update", **POD}),
        ({"renew_before_days": 10}, {"registry-tls-leaf": "update"}),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) and len(value) == 1 else "",
)
def test_an_edit_changes_only_what_must_change(lab: Lab, edit: Mapping[str, Any], expected: Mapping[str, str]) -> None:
    with lab.configured(**edit):
        changes = lab.changes()
    assert changes == expected
    assert not LASTING & changes.keys()


def test_a_password_of_your_own_changes_the_secret_and_not_the_pod(lab: Lab, outputs: dict[str, str]) -> None:
    started = lab.get("pod", NAMESPACE)["metadata"]["uid"]
    with lab.configured(secret={"passwords.centos": "correct horse battery"}):
        assert lab.changes() == {"registry-auth-secret": "replace"}
        lab.up()
        accepted = "correct horse battery"
        eventually(120, "the kubelet hands the new users on", lambda: lab.log_in(accepted).returncode == 0)
        assert lab.log_in(outputs["password"]).returncode != 0, "the old password is refused"
        assert lab.get("pod", NAMESPACE)["metadata"]["uid"] == started
    lab.up()
    generated = lab.outputs()["password"]
    eventually(120, "and the generated ones", lambda: lab.log_in(generated).returncode == 0)


def test_the_leaf_is_renewed_by_the_first_up_inside_the_window(lab: Lab) -> None:
    """The state is told that the leaf ends in 29 days, as it will be when 327 of its 356 days are over."""
    state = json.loads(lab.pulumi("stack", "export", *STACK).stdout)
    (leaf,) = [each for each in state["deployment"]["resources"] if each["urn"].endswith("::registry-tls-leaf")]
    ends = (datetime.now(UTC) + timedelta(days=29)).strftime("%Y-%m-%dT%H:%M:%SZ")
    leaf["outputs"]["validityEndTime"] = ends
    lab.pulumi("stack", "import", *STACK, stdin=json.dumps(state))
    before = lab.get("secret", "cert-secret")["data"]["tls.crt"]
    changes = lab.changes()
    assert changes.keys() == LEAF.keys(), "the leaf and what reads it; the CA stays"
    lab.up()
    after = lab.get("secret", "cert-secret")["data"]["tls.crt"]
    assert after != before
    lab.up("--expect-no-changes")
    lab.log_in(lab.outputs()["password"])
    assert lab.push("kept/renewed:1") == lab.pull("kept/renewed:1"), "clients trust it as before"


def test_destroy_keeps_the_images_and_the_next_up_finds_them(lab: Lab, outputs: dict[str, str]) -> None:
    lab.log_in(outputs["password"])
    digest = lab.push("kept/destroy:1")
    lab.pulumi("destroy", "--yes", "--skip-preview", *STACK, "--config-file", str(lab.config))
    assert NAMESPACE not in lab.kubectl("get", "namespaces", "--output", "name")
    assert lab.kubectl("get", "pv", "--output", "name") == "", "no object is left"
    assert "run-docker-registry" not in lab.get("node", "k8s-master")["metadata"]["labels"]
    lab.up()
    anew = lab.outputs()
    lab.trust(anew)
    lab.log_in(anew["password"])
    assert lab.pull("kept/destroy:1") == digest


@pytest.mark.parametrize("lost", [("pvc", "repository"), ("namespace", NAMESPACE)], ids=["claim", "namespace"])
def test_what_was_deleted_by_hand_comes_back_with_its_images(
    lab: Lab, outputs: dict[str, str], lost: tuple[str, str]
) -> None:
    lab.log_in(outputs["password"])
    digest = lab.push("kept/lost:1")
    if lost[0] == "pvc":  # a claim in use is only marked; the Pod has to go for it to be gone
        lab.kubectl("delete", "--wait=false", "pvc", lost[1], "--namespace", NAMESPACE)
        lab.kubectl("delete", "pod", NAMESPACE, "--namespace", NAMESPACE)
        lab.kubectl("wait", "--for=delete", "pvc/repository", "--namespace", NAMESPACE, "--timeout=60s", check=False)
    else:
        lab.kubectl("delete", *lost)
    lab.up("--refresh")
    assert lab.get("pvc", "repository")["status"]["phase"] == "Bound"
    assert lab.pull("kept/lost:1") == digest


def test_the_guide_to_the_letter_still_runs(lab: Lab, outputs: dict[str, str]) -> None:
    """registry:2.7, RSA 4096 and the password `centos`: taken, with a warning for each weakness."""
    lab.cluster.load_registry("2.7", build_program("registry-2.7") / "registry-2.7")
    lab.log_in(outputs["password"])
    digest = lab.push("kept/letter:1")
    with lab.configured(secret={"passwords.centos": "centos"}, image="registry:2.7", certificate_key="RSA-4096"):
        done = lab.up()
        assert "CVE-2026-41888" in done.stdout + done.stderr
        assert "easily guessed" in done.stdout + done.stderr
        letter = lab.outputs()
        lab.trust(letter)
        eventually(120, "centos logs in", lambda: lab.log_in("centos").returncode == 0)
        assert lab.pull("kept/letter:1") == digest
        version = lab.kubectl("exec", "--namespace", NAMESPACE, NAMESPACE, "--", "registry", "--version")
        assert " v2.7" in version
        line = base64.b64decode(lab.get("secret", "auth-secret")["data"]["registry.password"]).decode()
        assert "$2b$10$" in line
    lab.up()
    anew = lab.outputs()
    lab.trust(anew)
    eventually(120, "the generated password", lambda: lab.log_in(anew["password"]).returncode == 0)


def test_the_dev_stacks_file_holds_the_guides_values(lab: Lab) -> None:
    settings = yaml.safe_load(lab.config.read_text())["config"]
    assert settings["private-registry:external_ips"] == ["192.168.56.10"]
