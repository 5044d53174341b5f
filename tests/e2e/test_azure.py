"""Store images in a container of Azure Blob Storage, and change its key.

Only a real client of Azure and a server that checks its signatures show that the registry uses the container.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import azurite as server
from tests.e2e.azurite import Azurite
from tests.e2e.lab import ADDRESS, Lab, Registry, eventually
from tests.e2e.object_store import expect_report, push_large_layer

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not shutil.which("npm"), reason="Node.js is not installed, so Azurite cannot run."),
]

NAMESPACE = "stored-azure"
PREFIX = "stored/team"
IN_NAMESPACE = ("--namespace", NAMESPACE)


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
        lab.delete_namespace(NAMESPACE)
