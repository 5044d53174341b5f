"""What a registry in operation may be told: to take no pushes, to let users delete, what to say, what to clean up."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import Lab, Registry, of_secret

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
