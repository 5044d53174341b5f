"""What a registry in operation may be told: to take no pushes, to let users delete, what to say, what to clean up."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.lab import Lab, Registry, of_secret

pytestmark = pytest.mark.e2e

WHERE: dict[str, Any] = {
    **{"namespace": "operated", "storage_path": "/var/lib/operated"},
    **{"exposure": "node-port", "node_port": 30531},
}
UPLOAD = ("--request", "POST", "--data", "")


def said(lab: Lab) -> str:
    return lab.kubectl("logs", "--namespace", "operated", "docker-registry")


def test_pushes_and_deletions_are_switches(lab: Lab, registry: Callable[..., Registry]) -> None:
    served = registry("operated", **WHERE)
    digest = served.push("team/image")
    blob = f"/v2/team/image/blobs/{digest}"
    assert served.status(blob, "--request", "DELETE") == 405, "deletion is off unless asked for"

    registry("operated", mode="read-only", **WHERE)
    assert served.status("/v2/team/image/blobs/uploads/", *UPLOAD) == 405
    assert served.has("team/image", digest)

    registry("operated", allow_delete=True, **WHERE)
    assert served.status(blob, "--request", "DELETE") == 202
    assert not served.has("team/image", digest)


def test_the_log_speaks_as_it_is_told(lab: Lab, registry: Callable[..., Registry]) -> None:
    served = registry("operated", log_format="json", log_level="info", **WHERE)
    served.status("/v2/")
    lines = [json.loads(line) for line in said(lab).splitlines() if line.startswith("{")]
    assert any(line["level"] == "info" for line in lines)
    registry("operated", log_level="error", **WHERE)
    served.status("/v2/")
    assert "level=info" not in said(lab)
    assert "traces export" not in said(lab), "nobody collects traces"


def test_unfinished_uploads_are_cleaned_up(lab: Lab, registry: Callable[..., Registry]) -> None:
    registry("operated", upload_hours=2, **WHERE)
    config = json.loads(of_secret(lab, "operated", "configuration-secret")["config.yml"])
    purging = config["storage"]["maintenance"]["uploadpurging"]
    assert purging == {"enabled": True, "age": "2h", "interval": "6h", "dryrun": False}
    assert "Starting upload purge in" in said(lab), "and the registry reads it so"


def test_the_image_comes_from_anywhere_with_a_login_and_a_priority(lab: Lab, registry: Callable[..., Registry]) -> None:
    image = "mirror.example.com:5000/team/registry:3.1.2"
    names = ("docker.io/library/registry:3.1.2", image)
    lab.cluster.run("k8s-master", ("ctr", "--namespace=k8s.io", "images", "tag", *names), check=True)
    login = ("--docker-server=mirror.example.com:5000", "--docker-username=ci", "--docker-password=hunter22")
    lab.kubectl("create", "namespace", "pulled")
    try:
        lab.kubectl("create", "secret", "docker-registry", "login", "--namespace", "pulled", *login)
        lab.kubectl("create", "priorityclass", "important", "--value=1000")
        settings = {"namespace": "pulled", "create_namespace": False, "storage_path": "/var/lib/pulled"}
        taken = {"image": image, "image_pull_policy": "Never", "image_pull_secret": "login"}
        served = registry(
            "pulled", exposure="node-port", node_port=30532, priority_class="important", **settings, **taken
        )
        assert served.status("/v2/") == 200
        spec = lab.get("pod", "docker-registry", "pulled")["spec"]
        assert spec["containers"][0]["image"] == image
        assert spec["imagePullSecrets"] == [{"name": "login"}]
        assert spec["priority"] == 1000
        served.project.pulumi("destroy", "--yes", "--skip-preview")
    finally:
        lab.kubectl("delete", "namespace", "pulled")
        lab.kubectl("delete", "priorityclass", "important")
