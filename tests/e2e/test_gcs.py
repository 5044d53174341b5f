"""Store images in a bucket of Google Cloud Storage, and delete its key.

Only a real client of Google and a server that checks its tokens show that the registry uses the bucket.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import dns
from tests.e2e import gcs as server
from tests.e2e.gcs import Gcs, new_key
from tests.e2e.lab import Lab, Registry, eventually, is_ready
from tests.e2e.object_store import IMAGE, expect_report, inputs_of, push_and_verify
from tests.issuing import google_key, pem_of

pytestmark = pytest.mark.e2e

NAMESPACE = "stored-gcs"
IN_NAMESPACE = ("--namespace", NAMESPACE)


@pytest.fixture
def gcs(lab: Lab) -> Iterator[Gcs]:
    with server.serve(lab.cluster) as running, dns.serve(lab.cluster, lab.environment, server.HOSTS):
        yield running


def test_images_are_stored_in_gcs_and_a_deleted_key_is_reported(
    lab: Lab,
    gcs: Gcs,
    deploy_registry: Callable[..., Registry],
    tmp_path: Path,
    figures: Callable[[str], None],
) -> None:
    settings = {**inputs_of("gcs", NAMESPACE, 5075, gcs.ca_pem), "gcs_bucket": gcs.bucket}
    lab.kubectl("create", "namespace", NAMESPACE)
    try:
        create_secret(lab, tmp_path, "account", json.dumps(google_key(gcs.key)))
        create_secret(lab, tmp_path, "pem", pem_of(gcs.key))
        registry = deploy_registry(NAMESPACE, gcs_secret="account", **settings)
        digest, names = push_and_verify(registry, tmp_path)
        objects = gcs.objects()
        assert {*names} <= {*objects}

        server.stop(lab.cluster)
        eventually(30, "the Pod is not ready", lambda: not is_ready(registry_pod(lab)), pause=0.5)
        changed = replace(gcs, key=new_key())
        server.start(changed)
        # A running Pod has a token for an hour.
        lab.kubectl("delete", "pod", "--all", "--grace-period=0", "--force", *IN_NAMESPACE)
        expect_report(registry, figures, "refused the login", "`gcs_secret`")
        registry.project.configure(gcs_secret="pem", **settings)
        refusal = registry.project.expect_refusal()
        assert "`gcs_secret` names a Secret whose key.json is not JSON" in refusal
        assert pem_of(gcs.key).splitlines()[1] not in refusal

        lab.kubectl("delete", "secret", "account", *IN_NAMESPACE)
        create_secret(lab, tmp_path, "account", json.dumps(google_key(changed.key)))
        registry = deploy_registry(NAMESPACE, gcs_secret="account", **settings)
        eventually(60, "the image is pulled again", lambda: registry.has(IMAGE, digest), pause=1)
        assert registry.ops("status", "--no-drift").returncode == 0
        registry.project.pulumi("destroy", "--yes", "--skip-preview")
        assert {*objects} <= {*changed.objects()}, "the images outlive the stack"
    finally:
        lab.delete_namespace(NAMESPACE)


def registry_pod(lab: Lab) -> dict[str, Any]:
    (pod,) = lab.api.objects("pods", NAMESPACE)
    return pod


def create_secret(lab: Lab, folder: Path, name: str, content: str) -> None:
    """Create a Secret as docs/choosing.md says, from the file key.json."""
    file = folder / "key.json"
    file.write_text(content)
    lab.kubectl("create", "secret", "generic", name, f"--from-file={file}", *IN_NAMESPACE)
