"""Every kind of storage that a small cluster has, and what stays of it."""

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from registry.validation.storage import refuse_relocation, refuse_unshared_claim
from tests.e2e.lab import Lab, Registry, eventually
from tests.e2e.refusals import message
from tests.e2e.s3 import S3

pytestmark = pytest.mark.e2e

AT: dict[str, Any] = {"exposure": "node-port", "node_port": 30521}


def volume(name: str, folder: str, storage_class: str) -> str:
    """A volume as an administrator makes one by hand."""
    on_master = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["k8s-master"]}
    return json.dumps(
        {
            **{"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}},
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


def provide(lab: Lab, folder: str) -> None:
    """An empty folder on the master, of nobody in particular."""
    path = lab.cluster.path("k8s-master", folder)
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)


def apply(lab: Lab, *objects: str) -> None:
    for each in objects:
        lab.place.run("kubectl", "apply", "--filename", "-", stdin=each)


def test_a_local_volume_gets_the_users_group_and_the_namespace_is_restricted(
    lab: Lab, registry: Callable[..., Registry]
) -> None:
    provide(lab, "/var/lib/local-registry")
    settings = {**AT, "namespace": "local", "storage": "local", "storage_path": "/var/lib/local-registry"}
    served = registry("local", **settings)
    digest = served.push("kept/local")
    level = lab.get("namespace", "local")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert level == "restricted"
    assert lab.cluster.path("k8s-master", "/var/lib/local-registry").stat().st_gid == 65532
    served.project.pulumi("destroy", "--yes", "--skip-preview")
    assert registry("local", **settings).has("kept/local", digest), "the bytes outlive the stack"


def test_an_existing_claim_is_mounted_and_left_alone(lab: Lab, registry: Callable[..., Registry]) -> None:
    provide(lab, "/var/lib/claimed")
    claim = {
        **{"apiVersion": "v1", "kind": "PersistentVolumeClaim"},
        "metadata": {"name": "mine", "namespace": "claimed"},
        "spec": {
            **{"storageClassName": "", "volumeName": "by-hand", "accessModes": ["ReadWriteOnce"]},
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    lab.kubectl("create", "namespace", "claimed")
    try:
        apply(lab, volume("by-hand", "/var/lib/claimed", ""), json.dumps(claim))
        settings = {
            **{**AT, "namespace": "claimed", "create_namespace": False},
            **{"storage": "claim", "storage_claim": "mine", "workload": "deployment"},
        }
        served = registry("claimed", **settings)
        digest = served.push("kept/claimed")
        registry("claimed", log_level="warn", **settings)
        # Nodes send the port on to the new Pod some moments after that is ready.
        here = "recreated on the claim that one node at a time may mount"
        eventually(30, here, lambda: served.has("kept/claimed", digest))
        served.project.configure(**settings, replicas=2)
        assert message(refuse_unshared_claim, 2, ["ReadWriteOnce"]) in served.project.refused()
        served.project.configure(**settings | {"storage_claim": "other"})
        assert "registry-data-from-kubectl-get-pvc" in served.project.refused(), "the name tells what to do"
        served.project.pulumi("destroy", "--yes", "--skip-preview")
        assert lab.get("pvc", "mine", "claimed")["status"]["phase"] == "Bound"
    finally:
        lab.kubectl("delete", "namespace", "claimed")
        lab.kubectl("delete", "pv", "by-hand")


def test_a_class_provisions_and_the_claim_outlives_the_stack(lab: Lab, registry: Callable[..., Registry]) -> None:
    """The lab's class binds volumes that an administrator makes; for the component it is a class like any other."""
    provide(lab, "/var/lib/provisioned")
    by_hand = {
        **{"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "disks"}},
        **{"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"},
    }
    apply(lab, json.dumps(by_hand), volume("disk", "/var/lib/provisioned", "disks"))
    try:
        settings = {**AT, "namespace": "provisioned", "storage_size": "1Gi"}
        served = registry("provisioned", storage="class", storage_class="disks", **settings)
        digest = served.push("kept/provisioned")
        served.project.configure(storage="class", storage_class="fast", **settings)
        assert (
            message(refuse_relocation, {"storage_class": "disks"}, {"storage_class": "fast"})
            in served.project.refused()
        )
        served.project.configure(**settings)
        assert message(refuse_relocation, {"storage": "class"}, {"storage": "host-path"}) in served.project.refused()
        served.project.configure(storage="class", storage_class="disks", **settings | {"storage_size": "500Mi"})
        assert "storage" in served.project.refused(), "a claim cannot shrink"
        served.project.configure(storage="class", storage_class="disks", **settings)
        served.project.pulumi("destroy", "--yes", "--skip-preview")
        assert lab.get("pvc", "repository", "provisioned")["status"]["phase"] == "Bound"
        again = {"create_namespace": False, "storage": "claim", "storage_claim": "repository"}
        kept = {key: value for key, value in settings.items() if key != "storage_size"}
        assert registry("provisioned", **kept, **again).has("kept/provisioned", digest)
        served.project.pulumi("destroy", "--yes", "--skip-preview")
    finally:
        lab.kubectl("delete", "namespace", "provisioned")
        lab.kubectl("delete", "pv", "disk")
        lab.kubectl("delete", "storageclass", "disks")


def test_an_object_store_with_keys_from_an_existing_secret(lab: Lab, registry: Callable[..., Registry], s3: S3) -> None:
    lab.kubectl("create", "namespace", "stored")
    try:
        make = ("create", "secret", "generic", "--namespace", "stored")
        lab.kubectl(
            *make, "keys", f"--from-literal=access-key={s3.access_key}", f"--from-literal=secret-key={s3.secret_key}"
        )
        lab.kubectl(*make, "half", f"--from-literal=access-key={s3.access_key}")
        settings = {
            **{**AT, "namespace": "stored", "create_namespace": False, "storage": "s3", "s3_bucket": s3.bucket},
            **{"s3_endpoint": s3.endpoint, "s3_prefix": "stored/team", "upstream_ca": s3.ca_pem},
        }
        served = registry("stored", s3_secret="keys", **settings)
        digest = served.push("kept/stored")
        assert served.has("kept/stored", digest)
        stored = s3.folder / "stored/team/docker/registry/v2/blobs/sha256" / digest[7:9] / digest[7:] / "data"
        assert stored.read_text() == "a layer"
        pod = json.dumps(lab.get("pod", "docker-registry", "stored"))
        assert s3.secret_key not in pod, "no environment holds a key"
        served.project.configure(s3_secret="half", **settings)
        assert "`s3_secret` names a Secret without secret-key." in served.project.refused()
        served.project.pulumi("destroy", "--yes", "--skip-preview")
        assert stored.exists(), "the bytes outlive the stack"
    finally:
        lab.kubectl("delete", "namespace", "stored")
