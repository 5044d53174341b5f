"""Store images in every kind of storage, and keep them after the stack is destroyed.

No offline test can show this: only kubelets mount volumes, and only a real registry writes images to them.
"""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dev.cluster.plan import MASTER
from dev.environment import PROJECT
from registry.inputs.resolve import NONROOT
from registry.validation.storage import DEFAULT_CLASS, refuse_relocation, refuse_unshared_claim
from tests.e2e.lab import Lab, Project, Registry, eventually, is_ready, read_location
from tests.e2e.messages import message
from tests.e2e.s3 import S3

pytestmark = pytest.mark.e2e

EXPOSURE: dict[str, Any] = {"exposure": "node-port", "node_port": 30521}


def volume_manifest(name: str, folder: str, storage_class: str) -> str:
    """Return the manifest of a local volume on the master, like one that an administrator creates."""
    on_master = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["k8s-master"]}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": storage_class,
                "local": {"path": folder},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_master]}]}},
            },
        }
    )


def claim_manifest(name: str, namespace: str, volume: str) -> str:
    """Return the manifest of a claim that binds the volume, like one that a user creates."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "storageClassName": "",
                "volumeName": volume,
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
    )


def storage_class_manifest(name: str, *, is_default: bool = False) -> str:
    """Return the manifest of a class without a provisioner, which binds the volumes of an administrator."""
    annotations = {DEFAULT_CLASS: "true"} if is_default else {}
    return json.dumps(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": name, "annotations": annotations},
            "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": "WaitForFirstConsumer",
        }
    )


def create_empty_folder(lab: Lab, folder: str) -> None:
    """Create an empty folder on the master, which belongs to root."""
    path = lab.cluster.path("k8s-master", folder)
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)


def apply(lab: Lab, *manifests: str) -> None:
    for manifest in manifests:
        lab.environment.run("kubectl", "apply", "--filename", "-", stdin=manifest)


def test_a_local_volume_gets_the_users_group_and_the_namespace_is_restricted(
    lab: Lab, deploy_registry: Callable[..., Registry]
) -> None:
    create_empty_folder(lab, "/var/lib/local-registry")
    settings = {**EXPOSURE, "namespace": "local", "storage": "local", "storage_path": "/var/lib/local-registry"}
    registry = deploy_registry("local", **settings)
    digest = registry.push("kept/local")
    level = lab.get("namespace", "local")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert level == "restricted"
    assert lab.cluster.path("k8s-master", "/var/lib/local-registry").stat().st_gid == NONROOT
    registry.project.pulumi("destroy", "--yes", "--skip-preview")
    assert deploy_registry("local", **settings).has("kept/local", digest), "the images outlive the stack"


def test_an_existing_claim_is_mounted_and_kept(lab: Lab, deploy_registry: Callable[..., Registry]) -> None:
    create_empty_folder(lab, "/var/lib/claimed")
    lab.kubectl("create", "namespace", "claimed")
    try:
        apply(lab, volume_manifest("by-hand", "/var/lib/claimed", ""), claim_manifest("mine", "claimed", "by-hand"))
        settings = {
            **EXPOSURE,
            "namespace": "claimed",
            "create_namespace": False,
            "storage": "claim",
            "storage_claim": "mine",
            "workload": "deployment",
        }
        registry = deploy_registry("claimed", **settings)
        digest = registry.push("kept/claimed")
        deploy_registry("claimed", log_level="warn", **settings)
        # kube-proxy needs a moment for the new Pod.
        eventually(30, "the new Pod serves the image from the claim", lambda: registry.has("kept/claimed", digest))
        registry.project.configure(**settings, replicas=2)
        assert message(refuse_unshared_claim, 2, ["ReadWriteOnce"]) in registry.project.expect_refusal()
        registry.project.configure(**settings | {"storage_claim": "other"})
        assert "`storage_claim` names the claim 'other', which does not exist." in registry.project.expect_refusal()
        registry.project.pulumi("destroy", "--yes", "--skip-preview")
        assert lab.get("pvc", "mine", "claimed")["status"]["phase"] == "Bound"
    finally:
        lab.kubectl("delete", "namespace", "claimed")
        lab.kubectl("delete", "pv", "by-hand")


def test_a_claim_of_a_storage_class_outlives_the_stack(lab: Lab, deploy_registry: Callable[..., Registry]) -> None:
    """The lab has no provisioner, so its class binds a volume that an administrator creates."""
    create_empty_folder(lab, "/var/lib/provisioned")
    classes = storage_class_manifest("disks", is_default=True), storage_class_manifest("fast")
    apply(lab, *classes, volume_manifest("disk", "/var/lib/provisioned", "disks"))
    try:
        settings = {**EXPOSURE, "namespace": "provisioned", "storage_size": "1Gi"}
        registry = deploy_registry("provisioned", storage="class", **settings)
        digest = registry.push("kept/provisioned")
        assert lab.get("pvc", "repository", "provisioned")["spec"]["storageClassName"] == "disks"
        lab.kubectl("annotate", "storageclass", "disks", f"{DEFAULT_CLASS}-")
        lab.kubectl("annotate", "storageclass", "fast", f"{DEFAULT_CLASS}=true")
        registry.project.pulumi("preview", "--expect-no-changes")
        registry.project.configure(storage="class", storage_class="fast", **settings)
        assert (
            message(refuse_relocation, {"storage_class": "disks"}, {"storage_class": "fast"})
            in registry.project.expect_refusal()
        )
        registry.project.configure(**settings)
        assert (
            message(refuse_relocation, {"storage": "class"}, {"storage": "host-path"})
            in registry.project.expect_refusal()
        )
        registry.project.configure(storage="class", storage_class="disks", **settings | {"storage_size": "500Mi"})
        assert "spec.resources.requests.storage: Forbidden: " in registry.project.expect_refusal()
        registry.project.configure(storage="class", storage_class="disks", **settings)
        registry.project.pulumi("destroy", "--yes", "--skip-preview")
        assert lab.get("pvc", "repository", "provisioned")["status"]["phase"] == "Bound"
        claim_settings = {"create_namespace": False, "storage": "claim", "storage_claim": "repository"}
        rest = {key: value for key, value in settings.items() if key != "storage_size"}
        assert deploy_registry("provisioned", **rest, **claim_settings).has("kept/provisioned", digest)
        registry.project.pulumi("destroy", "--yes", "--skip-preview")
    finally:
        lab.kubectl("delete", "namespace", "provisioned")
        lab.kubectl("delete", "pv", "disk")
        lab.kubectl("delete", "storageclass", "disks", "fast")


def test_images_are_stored_in_s3_with_keys_from_an_existing_secret(
    lab: Lab, deploy_registry: Callable[..., Registry], s3: S3, figures: Callable[[str], None]
) -> None:
    lab.kubectl("create", "namespace", "stored")
    try:
        create = ("create", "secret", "generic", "--namespace", "stored")
        lab.kubectl(
            *create, "keys", f"--from-literal=access-key={s3.access_key}", f"--from-literal=secret-key={s3.secret_key}"
        )
        lab.kubectl(*create, "half", f"--from-literal=access-key={s3.access_key}")
        lab.kubectl("create", "serviceaccount", "images", "--namespace", "stored")
        settings = {
            **EXPOSURE,
            "service_account": "images",
            "service_annotations": {"example.com/scheme": "internal"},
            "node_selector": {"kubernetes.io/hostname": "k8s-worker"},
            "ip_family_policy": "RequireDualStack" if lab.cluster.plan.dual_stack else "PreferDualStack",
            "s3_encrypt": True,
            "s3_storage_class": "STANDARD_IA",
            "namespace": "stored",
            "create_namespace": False,
            "storage": "s3",
            "s3_bucket": s3.bucket,
            "s3_endpoint": s3.endpoint,
            "s3_prefix": "stored/team",
            "upstream_ca": s3.ca_pem,
        }
        registry = deploy_registry("stored", s3_secret="keys", **settings)
        digest = registry.push("kept/stored")
        assert registry.has("kept/stored", digest)
        hexadecimal = digest.removeprefix("sha256:")
        blobs = s3.folder / "stored/team/docker/registry/v2/blobs/sha256"
        blob_file = blobs / hexadecimal[:2] / hexadecimal / "data"
        assert blob_file.read_text() == "a layer"
        pod = json.dumps(lab.get("pod", "docker-registry", "stored"))
        assert s3.secret_key not in pod, "no variable of the Pod contains the key"
        check_a_missing_bucket(lab, registry, s3)
        check_the_pod_and_the_service(lab, registry.project, {"s3_secret": "keys", **settings})
        if lab.cluster.plan.dual_stack:
            check_ipv6(registry)
        else:
            figures("no push over IPv6, because this machine has no IPv6")
        check_redirects(deploy_registry("stored", s3_secret="keys", s3_redirect=True, node_trust=True, **settings), s3)
        registry.project.configure(s3_secret="half", **settings)
        assert "`s3_secret` names a Secret without secret-key." in registry.project.expect_refusal()
        registry.project.pulumi("destroy", "--yes", "--skip-preview")
        assert blob_file.exists(), "the images outlive the stack"
    finally:
        lab.kubectl("delete", "namespace", "stored")


def check_the_pod_and_the_service(lab: Lab, project: Project, settings: dict[str, Any]) -> None:
    """Check what the cluster made of the settings, and that preview refuses what it does not have."""
    spec = lab.get("pod", "docker-registry", "stored")["spec"]
    assert (spec["nodeName"], spec["serviceAccountName"]) == ("k8s-worker", "images")
    assert [each["name"] for each in spec["volumes"] if "projected" in each] == [], "the Pod has no token"
    service = lab.get("service", "docker-registry", "stored")
    assert service["metadata"]["annotations"]["example.com/scheme"] == "internal"
    assert service["spec"]["ipFamilyPolicy"] == settings["ip_family_policy"]
    assert service["spec"]["ipFamilies"] == (["IPv4", "IPv6"] if lab.cluster.plan.dual_stack else ["IPv4"])
    for changed, problem in (
        ({"node_selector": {"example.com/pool": "gpu"}}, "`node_selector` selects no node: none of 2"),
        ({"service_account": "robot"}, "`service_account` names the ServiceAccount 'robot', which does not exist"),
    ):
        project.configure(**settings | changed)
        assert problem in project.expect_refusal()


def check_ipv6(registry: Registry) -> None:
    """Push and pull over the IPv6 address of a node that does not run the Pod."""
    over_ipv6 = replace(registry, address=f"[{MASTER.ipv6}]:{EXPOSURE['node_port']}")
    digest = over_ipv6.push("kept/over-ipv6", "a layer over IPv6")
    assert over_ipv6.has("kept/over-ipv6", digest)
    assert registry.has("kept/over-ipv6", digest)


def check_redirects(registry: Registry, s3: S3) -> None:
    """Check that clients and nodes download from the bucket with the CAs of `ca_pem`."""
    digest = registry.push("kept/redirected", "another layer")
    path = f"/v2/kept/redirected/blobs/{digest}"
    assert read_location(registry.curl(path, "--head").stdout).startswith(f"{s3.endpoint}/{s3.bucket}/stored/team/")
    assert registry.curl(path, "--location").stdout == "another layer"
    verified = registry.ops("verify", "--from-nodes")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def check_a_missing_bucket(lab: Lab, registry: Registry, s3: S3) -> None:
    """Check that without its bucket the Pod is not ready and does not restart, and that `ops` names the cause."""

    def pod() -> Any:
        return lab.get("pod", "docker-registry", "stored")

    hidden = s3.folder.rename(s3.folder.with_name("hidden"))
    try:
        eventually(30, "the Pod is not ready", lambda: not is_ready(pod()))
        for command in (("verify",), ("status", "--no-drift")):
            done = registry.ops(*command, "--json")
            assert done.returncode == 1
            assert "The bucket does not exist" in done.stdout, done.stdout
            assert "`s3_bucket`" in done.stdout
            assert s3.secret_key not in done.stdout + done.stderr
    finally:
        hidden.rename(s3.folder)
    eventually(30, "the Pod is ready again", lambda: is_ready(pod()))
    assert pod()["status"]["containerStatuses"][0]["restartCount"] == 0


def test_a_mistyped_folder_is_corrected_by_the_commands_of_the_refusal(
    lab: Lab, create_project: Callable[..., Project]
) -> None:
    """Only a real API server has the Lease and the volume of the first folder, which the commands must delete."""
    project = create_project("mistyped", (PROJECT / "__main__.py").read_text())
    project.declare_config()
    settings: dict[str, Any] = {**EXPOSURE, "namespace": "mistyped"}
    project.configure(storage_path="/var/lib/mistypde", **settings)
    # The first `pulumi up` creates no Pod, so no image was stored.
    project.pulumi("up", "--yes", "--skip-preview", "--exclude", "**::registry-workload-pod")
    project.configure(storage_path="/var/lib/mistyped", **settings)
    output = project.expect_refusal()
    assert (
        message(refuse_relocation, {"storage_path": "/var/lib/mistypde"}, {"storage_path": "/var/lib/mistyped"})
        in output
    )
    for command in re.findall(r"`pulumi (destroy|up)`", output)[:2]:  # the output may repeat the message
        project.pulumi(command, "--yes", "--skip-preview")
    assert lab.get("pod", "docker-registry", "mistyped")["status"]["phase"] == "Running"
    assert lab.cluster.path("k8s-master", "/var/lib/mistyped").is_dir()
