"""A registry set up by hand after the guide is taken over, images and all."""

import re
from collections.abc import Callable
from typing import Any

import bcrypt
import pytest

from dev.environment import PROJECT
from tests.e2e.lab import ADDRESS, Lab, Project, Registry
from tests.issuing import issue, leaf

pytestmark = pytest.mark.e2e

BY_HAND = "by-hand"
SETTINGS: dict[str, Any] = {"namespace": BY_HAND, "storage_path": "/var/lib/by-hand", "port": 5040}


def set_up_by_hand(lab: Lab) -> dict[str, str]:
    """The guide's steps; what a client has to know."""
    made = issue(leaf("docker-registry"))
    hashed = bcrypt.hashpw(b"centos", bcrypt.gensalt(5)).decode()
    for part, text in (("crt", made.pem), ("key", made.key_pem)):
        lab.cluster.path("laptop", f"/var/by-hand.{part}").write_text(text)
    lab.kubectl("create", "namespace", BY_HAND)
    files = ("--cert=/var/by-hand.crt", "--key=/var/by-hand.key")
    lab.kubectl("create", "secret", "tls", "cert-secret", "--namespace", BY_HAND, *files)
    htpasswd = f"--from-literal=registry.password=centos:{hashed}"
    lab.kubectl("create", "secret", "generic", "auth-secret", "--namespace", BY_HAND, htpasswd)
    lab.kubectl("apply", "--filename", str(PROJECT / "tests/e2e/guide.yaml"))
    lab.kubectl("wait", "--for=condition=Ready", "pod/docker-registry", "--namespace", BY_HAND, "--timeout=60s")
    return {"endpoint": "docker-registry:5040", "ca_pem": made.pem, "username": "centos", "password": "centos"}


def commands(lab: Lab) -> list[list[str]]:
    """The example's own, for this namespace."""
    readme = (PROJECT / "examples/take-over/README.md").read_text().replace("docker-registry pod", f"{BY_HAND} pod")
    told = re.findall(r"^(?:kubectl|pulumi) .*", readme, re.MULTILINE)
    return [line.replace("--namespace docker-registry", f"--namespace {BY_HAND}").split() for line in told]


def test_the_namespace_and_the_images_are_taken_over(lab: Lab, project: Callable[..., Project]) -> None:
    by_hand = set_up_by_hand(lab)
    taken = project("take-over")
    before = Registry(taken, by_hand, f"{ADDRESS}:5040")
    digest = before.push("kept/by-hand")
    uid = lab.get("namespace", BY_HAND)["metadata"]["uid"]

    for command in commands(lab):
        if command[:2] == ["kubectl", "delete"] and "persistent" not in command[-2]:
            lab.kubectl(*command[1:])
    taken.configure(adopt="true", **SETTINGS)
    taken.up()
    taken.configure(**SETTINGS)
    after = Registry(taken, taken.up(), f"{ADDRESS}:5040")
    for command in commands(lab):
        if "persistent" in command[-2]:
            lab.kubectl(*command[1:])

    assert after.has("kept/by-hand", digest), "the images are there"
    assert after.outputs["ca_pem"] != by_hand["ca_pem"]
    namespace = lab.get("namespace", BY_HAND)["metadata"]
    assert namespace["uid"] == uid, "the namespace is the same"
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "baseline"
    taken.up("--expect-no-changes")
    pod = lab.get("pod", "docker-registry", BY_HAND)["metadata"]["uid"]
    assert pod
