"""Change how a registry runs: its mode, deletions, its log, the purge of uploads, and its image.

No offline test can show this, because only the real registry reads its configuration.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e import forward_proxy
from tests.e2e.lab import ADDRESS, NAMESPACE, STACK, Lab, Registry, read_secret

pytestmark = pytest.mark.e2e

SETTINGS: dict[str, Any] = {
    "namespace": "operated",
    "storage_path": "/var/lib/operated",
    "exposure": "node-port",
    "node_port": 30531,
}
CLOSED_PORT, OTHER_CLOSED_PORT = 5999, 5998
"""Ports of the node without a program that listens."""

UPLOAD = ("--request", "POST", "--data", "")
"""Options of curl that start the upload of a layer."""

UPSTREAM_IMAGE = ("/v2/ops-verify/manifests/latest", "--header", "Accept: application/vnd.oci.image.manifest.v1+json")
"""Path of the image that `ops verify` pushes, and the options of curl to read it."""


def read_log(lab: Lab) -> str:
    return lab.kubectl("logs", "--namespace", "operated", "docker-registry")


def test_pushes_can_be_disabled_and_deletions_enabled(lab: Lab, deploy_registry: Callable[..., Registry]) -> None:
    registry = deploy_registry("operated", **SETTINGS)
    digest = registry.push("team/image")
    blob = f"/v2/team/image/blobs/{digest}"
    assert registry.status(blob, "--request", "DELETE") == 405, "deletion is disabled by default"

    deploy_registry("operated", mode="read-only", **SETTINGS)
    assert registry.status("/v2/team/image/blobs/uploads/", *UPLOAD) == 405
    verified = registry.ops("verify")
    assert verified.returncode == 0, verified.stdout
    assert registry.has("team/image", digest)

    deploy_registry("operated", allow_delete=True, **SETTINGS)
    assert registry.status(blob, "--request", "DELETE") == 202
    assert not registry.has("team/image", digest)


def prepare_upstream(lab: Lab) -> tuple[dict[str, str], dict[str, Any]]:
    """Push an image to the lab's registry, and return the secret inputs and the other inputs of a mirror of it."""
    lab.environment.run(sys.executable, "-m", "ops", "verify", *STACK, "--address", ADDRESS)  # pushes an image
    upstream = lab.outputs()
    secrets = {"mirror_password": upstream["password"]}
    mirror = {"mode": "mirror", "mirror_username": upstream["username"], "upstream_ca": upstream["ca_pem"], **SETTINGS}
    return secrets, mirror


def test_a_mirror_starts_without_its_upstream_and_verify_names_the_unreachable_server(
    lab: Lab, deploy_registry: Callable[..., Registry]
) -> None:
    """Only a real registry and kubelet start without an upstream, and read the proxies from a Secret."""
    secrets, mirror = prepare_upstream(lab)
    registry = deploy_registry("operated", secrets, mirror_of=f"https://{ADDRESS}:5000", **mirror)
    assert registry.status(*UPSTREAM_IMAGE) == 200
    assert failed_checks(registry) == {}

    deploy_registry("operated", secrets, mirror_of=f"https://{ADDRESS}:{CLOSED_PORT}", **mirror)
    assert registry.status(*UPSTREAM_IMAGE) == 200, "the mirror serves a stored image"
    assert list(failed_checks(registry)) == ["upstream"]
    assert "connection refused" in failed_checks(registry)["upstream"]
    report = json.loads(registry.ops("status", "--no-drift", "--json").stdout)
    assert "connection refused" in report["servers"]["seen"]
    assert "`mirror_of`" in report["servers"]["remedy"]

    secrets["outbound_proxy.https"] = f"http://ci:hunter22@{ADDRESS}:{OTHER_CLOSED_PORT}"
    deploy_registry("operated", secrets, mirror_of=f"https://{ADDRESS}:5000", **mirror)
    assert "its proxy" in failed_checks(registry)["upstream"]
    assert "hunter22" not in read_log(lab) + json.dumps(lab.get("pod", "docker-registry", "operated"))
    secrets["outbound_proxy.no_proxy"] = ADDRESS
    deploy_registry("operated", secrets, mirror_of=f"https://{ADDRESS}:5000", **mirror)
    assert failed_checks(registry) == {}


def test_a_mirror_reaches_its_upstream_through_a_proxy_with_a_login(
    lab: Lab, deploy_registry: Callable[..., Registry]
) -> None:
    """Only a real proxy logs the requests that it gets. Pods do not resolve the upstream's name, so the proxy must."""
    secrets, mirror = prepare_upstream(lab)
    host = f"{NAMESPACE}.{NAMESPACE}"
    lab.cluster.set_hosts_entry("laptop", ADDRESS, host)
    mirror["mirror_of"] = f"https://{host}:5000"
    with forward_proxy.serve(lab.cluster) as proxy:
        wrong_login = {"outbound_proxy.https": proxy.url("hunter33")}
        registry = deploy_registry("operated", secrets | wrong_login, **mirror)
        assert "The proxy refuses the login of the registry" in failed_checks(registry)["upstream"]
        servers = json.loads(registry.ops("status", "--no-drift", "--json").stdout)["servers"]
        assert "refuses the login" in servers["seen"]
        assert "`outbound_proxy`" in servers["remedy"]

        deploy_registry("operated", secrets | {"outbound_proxy.https": proxy.url()}, **mirror)
        assert registry.status(*UPSTREAM_IMAGE) == 200
        assert failed_checks(registry) == {}
        requests = proxy.requests()
        assert {*requests} == {f"CONNECT {host}:5000"}

        excluded = secrets | {"outbound_proxy.https": proxy.url(), "outbound_proxy.no_proxy": ADDRESS}
        deploy_registry("operated", excluded, **mirror | {"mirror_of": f"https://{ADDRESS}:5000"})
        assert failed_checks(registry) == {}
        assert proxy.requests() == requests
        assert "hunter" not in read_log(lab) + json.dumps(lab.get("pod", "docker-registry", "operated"))


def failed_checks(registry: Registry) -> dict[str, str]:
    """Return the observation of each failed check of `ops verify` by title. Check its exit code, too."""
    done = registry.ops("verify", "--json")
    failed = {check["title"]: check["seen"] for check in json.loads(done.stdout)["checks"] if not check["passed"]}
    assert done.returncode == (1 if failed else 0), done.stdout + done.stderr
    assert "hunter" not in done.stdout + done.stderr
    return failed


def test_the_log_has_the_configured_format_and_level(lab: Lab, deploy_registry: Callable[..., Registry]) -> None:
    registry = deploy_registry("operated", log_format="json", log_level="info", **SETTINGS)
    registry.status("/v2/")
    lines = [json.loads(line) for line in read_log(lab).splitlines() if line.startswith("{")]
    assert any(line["level"] == "info" for line in lines)
    deploy_registry("operated", log_level="error", **SETTINGS)
    registry.status("/v2/")
    assert "level=info" not in read_log(lab)
    assert "traces export" not in read_log(lab), "the registry does not try to export traces"


def test_the_registry_schedules_the_purge_of_unfinished_uploads(
    lab: Lab, deploy_registry: Callable[..., Registry]
) -> None:
    deploy_registry("operated", upload_hours=2, **SETTINGS)
    config = json.loads(read_secret(lab, "operated", "configuration-secret")["config.yml"])
    purging = config["storage"]["maintenance"]["uploadpurging"]
    assert purging == {"enabled": True, "age": "2h", "interval": "1h", "dryrun": False}
    assert "Starting upload purge in" in read_log(lab)


def test_the_pod_has_the_configured_image_pull_secret_and_priority(
    lab: Lab, deploy_registry: Callable[..., Registry]
) -> None:
    image = "mirror.example.com:5000/team/registry:3.1.2"
    image_names = ("docker.io/library/registry:3.1.2", image)
    lab.cluster.run("k8s-master", ("ctr", "--namespace=k8s.io", "images", "tag", *image_names), check=True)
    login = ("--docker-server=mirror.example.com:5000", "--docker-username=ci", "--docker-password=hunter22")
    lab.kubectl("create", "namespace", "pulled")
    try:
        lab.kubectl("create", "secret", "docker-registry", "login", "--namespace", "pulled", *login)
        lab.kubectl("create", "priorityclass", "important", "--value=1000")
        settings = {"namespace": "pulled", "create_namespace": False, "storage_path": "/var/lib/pulled"}
        image_settings = {"image": image, "image_pull_policy": "Never", "image_pull_secret": "login"}
        registry = deploy_registry(
            "pulled", exposure="node-port", node_port=30532, priority_class="important", **settings, **image_settings
        )
        assert registry.status("/v2/") == 200
        spec = lab.get("pod", "docker-registry", "pulled")["spec"]
        assert spec["containers"][0]["image"] == image
        assert spec["imagePullSecrets"] == [{"name": "login"}]
        assert spec["priority"] == 1000
        registry.project.pulumi("destroy", "--yes", "--skip-preview")
    finally:
        lab.kubectl("delete", "namespace", "pulled")
        lab.kubectl("delete", "priorityclass", "important")
