"""Take over the namespace and the images of a registry that a user created with the guide.

No offline test can show this, because only a cluster has objects that the stack did not create.
"""

import re
from collections.abc import Callable
from typing import Any

import bcrypt
import pytest

from dev.environment import PROJECT
from tests.e2e.lab import ADDRESS, Lab, Project, Registry
from tests.issuing import issue, server_spec

pytestmark = pytest.mark.e2e

NAMESPACE = "by-hand"
SETTINGS: dict[str, Any] = {"namespace": NAMESPACE, "storage_path": "/var/lib/by-hand", "port": 5040}


def set_up_by_hand(lab: Lab) -> dict[str, str]:
    """Run the steps of the guide, and return the outputs that a stack would have."""
    certificate = issue(server_spec("docker-registry"))
    password_hash = bcrypt.hashpw(b"centos", bcrypt.gensalt(5)).decode()
    for part, text in (("crt", certificate.pem), ("key", certificate.key_pem)):
        lab.cluster.path("laptop", f"/var/by-hand.{part}").write_text(text)
    lab.kubectl("create", "namespace", NAMESPACE)
    files = ("--cert=/var/by-hand.crt", "--key=/var/by-hand.key")
    lab.kubectl("create", "secret", "tls", "cert-secret", "--namespace", NAMESPACE, *files)
    htpasswd = f"--from-literal=registry.password=centos:{password_hash}"
    lab.kubectl("create", "secret", "generic", "auth-secret", "--namespace", NAMESPACE, htpasswd)
    lab.kubectl("apply", "--filename", str(PROJECT / "tests/e2e/guide.yaml"))
    lab.kubectl("wait", "--for=condition=Ready", "pod/docker-registry", "--namespace", NAMESPACE, "--timeout=60s")
    lab.wait_for_kube_proxies()
    return {"endpoint": "docker-registry:5040", "ca_pem": certificate.pem, "username": "centos", "password": "centos"}


def readme_commands() -> list[list[str]]:
    """Return the arguments of the kubectl commands in the example's README, for this namespace."""
    readme = (PROJECT / "examples/take-over/README.md").read_text()
    for prefix in ("namespace ", "instance="):
        readme = readme.replace(f"{prefix}docker-registry", prefix + NAMESPACE)
    return [line.split() for line in re.findall(r"^kubectl (.*)", readme, re.MULTILINE)]


def deletes_storage(command: list[str]) -> bool:
    """Return whether the command deletes the old claim or the old volume, which the README does last."""
    return command[-2] in ("persistentvolumeclaim", "persistentvolume")


def test_a_stack_takes_over_the_namespace_and_the_images(lab: Lab, create_project: Callable[..., Project]) -> None:
    manual_outputs = set_up_by_hand(lab)
    project = create_project("take-over")
    manual_registry = Registry(project, manual_outputs, f"{ADDRESS}:5040")
    digest = manual_registry.push("kept/by-hand")
    uid = lab.get("namespace", NAMESPACE)["metadata"]["uid"]

    for command in readme_commands():
        if not deletes_storage(command):
            lab.kubectl(*command)
    project.configure(adopt="true", **SETTINGS)
    project.up()
    project.configure(**SETTINGS)
    registry = Registry(project, project.up(), f"{ADDRESS}:5040")
    for command in readme_commands():
        if deletes_storage(command):
            lab.kubectl(*command)

    assert registry.has("kept/by-hand", digest), "the registry has the images"
    assert registry.outputs["ca_pem"] != manual_outputs["ca_pem"]
    namespace = lab.get("namespace", NAMESPACE)["metadata"]
    assert namespace["uid"] == uid, "the namespace is the same"
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "baseline"
    project.up("--expect-no-changes")
    assert lab.api.exists("pod", "docker-registry", NAMESPACE)
