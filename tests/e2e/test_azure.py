"""Store images in a container of Azure Blob Storage, and change its key.

Only a real client of Azure and a server that checks its signatures show that the registry uses the container.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e import azurite as server
from tests.e2e.azurite import Azurite
from tests.e2e.lab import Lab, Registry, eventually
from tests.e2e.object_store import IMAGE, expect_report, inputs_of, push_and_verify

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not shutil.which("npm"), reason="Node.js is not installed, so Azurite cannot run."),
]

NAMESPACE = "stored-azure"
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
    settings = {
        **inputs_of("azure", NAMESPACE, 5074, azurite.ca_pem),
        **{"azure_account": azurite.account, "azure_container": azurite.container, "azure_endpoint": azurite.endpoint},
    }
    lab.kubectl("create", "namespace", NAMESPACE)
    try:
        lab.kubectl(
            "create", "secret", "generic", "account", f"--from-literal=account-key={azurite.key}", *IN_NAMESPACE
        )
        connection_string = f"--from-literal=account-key=AccountName=team;AccountKey={azurite.key}"
        lab.kubectl("create", "secret", "generic", "connection", connection_string, *IN_NAMESPACE)
        registry = deploy_registry(NAMESPACE, azure_secret="account", **settings)
        digest, names = push_and_verify(registry, tmp_path)
        blobs = azurite.blobs()
        assert all(f"<Name>{name}</Name>" in blobs for name in names), blobs

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
        eventually(60, "the image is pulled again", lambda: registry.has(IMAGE, digest), pause=1)
        assert registry.ops("status", "--no-drift").returncode == 0
        registry.project.pulumi("destroy", "--yes", "--skip-preview")
        blobs = changed.blobs()
        assert all(name in blobs for name in names), "the images outlive the stack"
    finally:
        lab.delete_namespace(NAMESPACE)
