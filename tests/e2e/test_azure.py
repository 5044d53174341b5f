"""Store images in a container of Azure Blob Storage, and change its key.

Only a real client of Azure and a server that checks its signatures show that the registry uses the container.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ops.servers import SILENT_SECONDS
from tests.e2e import azurite as server
from tests.e2e.azurite import Azurite
from tests.e2e.lab import ADDRESS, Lab, Registry, eventually, read_location

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not shutil.which("npm"), reason="Node.js is not installed, so Azurite cannot run."),
]

NAMESPACE = "stored-azure"
PREFIX = "stored/team"
LAYER_BYTES = 9 << 20
"""Bytes of a layer that the registry appends to its blob in three blocks."""


@pytest.fixture
def azurite(lab: Lab) -> Iterator[Azurite]:
    with server.serve(lab.cluster) as running:
        yield running


def test_images_are_stored_in_azure_and_a_changed_key_is_reported(
    lab: Lab,
    azurite: Azurite,
    deploy_registry: Callable[..., Registry],
    tmp_path: Path,
    figures: Callable[[str], None],
) -> None:
    settings: dict[str, Any] = {
        **{"namespace": NAMESPACE, "create_namespace": False, "port": 5074},
        **{"exposure": "external-ips", "external_ips": [ADDRESS], "workload": "deployment"},
        **{"storage": "azure", "azure_account": azurite.account, "azure_container": azurite.container},
        **{"azure_endpoint": azurite.endpoint, "azure_prefix": PREFIX, "upstream_ca": azurite.ca_pem},
    }
    lab.kubectl("create", "namespace", NAMESPACE)
    try:
        lab.kubectl(
            "create", "secret", "generic", "account", f"--from-literal=account-key={azurite.key}", *IN_NAMESPACE
        )
        connection_string = f"--from-literal=account-key=AccountName=team;AccountKey={azurite.key}"
        lab.kubectl("create", "secret", "generic", "connection", connection_string, *IN_NAMESPACE)
        registry = deploy_registry(NAMESPACE, azure_secret="account", **settings)
        digest = registry.push("kept/stored")
        assert registry.has("kept/stored", digest)
        large = push_large_layer(registry, tmp_path)
        blobs = azurite.blobs()
        for stored in (digest, large):
            assert f"<Name>{PREFIX}/docker/registry/v2/blobs/sha256/{stored[7:9]}/{stored[7:]}/data</Name>" in blobs
        verified = registry.ops("verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr

        server.stop(lab.cluster)
        expect_report(registry, figures, "no program listens", "`azure_endpoint`")
        changed = replace(azurite, key=server.new_key())
        server.start(changed)
        expect_report(registry, figures, "refused the login", "`azure_secret`")
        registry.project.configure(azure_secret="connection", **settings)
        refusal = registry.project.expect_refusal()
        assert "`azure_secret` names a Secret whose account-key is not base64" in refusal
        assert azurite.key not in refusal

        lab.kubectl("delete", "secret", "account", *IN_NAMESPACE)
        lab.kubectl(
            "create", "secret", "generic", "account", f"--from-literal=account-key={changed.key}", *IN_NAMESPACE
        )
        registry = deploy_registry(NAMESPACE, azure_secret="account", **settings)
        eventually(60, "the image is pulled again", lambda: registry.has("kept/stored", digest), pause=1)
        assert registry.ops("status", "--no-drift").returncode == 0
        registry.project.pulumi("destroy", "--yes", "--skip-preview")
        assert large[7:] in changed.blobs(), "the images outlive the stack"
    finally:
        lab.kubectl("delete", "namespace", NAMESPACE)


IN_NAMESPACE = ("--namespace", NAMESPACE)


def push_large_layer(registry: Registry, folder: Path) -> str:
    """Push a layer of several blocks, pull it, and return its digest."""
    layer, pulled = folder / "layer", folder / "pulled"
    layer.write_bytes(hashlib.shake_128(b"a layer").digest(LAYER_BYTES))
    digest = f"sha256:{hashlib.sha256(layer.read_bytes()).hexdigest()}"
    path = registry.start_upload("kept/large")
    patch = ("--request", "PATCH", "--upload-file", str(layer), "--dump-header", "-")
    location = read_location(registry.curl(path, *patch).stdout).removeprefix(f"https://{registry.outputs['endpoint']}")
    assert registry.status(f"{location}&digest={digest}", "--request", "PUT") == 201
    assert registry.curl(f"/v2/kept/large/blobs/{digest}", "--output", str(pulled)).returncode == 0
    assert pulled.read_bytes() == layer.read_bytes()
    return digest


def expect_report(registry: Registry, figures: Callable[[str], None], cause: str, remedy: str) -> None:
    """Check that `ops status` and `ops verify` report the cause and the remedy."""

    def is_reported() -> bool:
        done = registry.ops("status", "--no-drift", "--json")
        return done.returncode == 1 and cause in done.stdout and remedy in done.stdout

    eventually(60, f"status reports {cause}", is_reported, pause=1)
    # With the answer to a push, `ops status` knows the cause before the log of the registry has it.
    eventually(
        SILENT_SECONDS, f"verify reports {cause}", lambda: cause in registry.ops("verify", "--json").stdout, pause=1
    )
    done = registry.ops("verify", "--json")
    assert done.returncode == 1
    assert remedy in done.stdout, done.stdout
    figures(f"azure: {next(row for row in json.loads(done.stdout)['checks'] if cause in str(row))}")
