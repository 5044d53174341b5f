"""Backup and restore with the real tool, registries and storages: under pushes, after a loss, and to a second site.

Only regsync and CNCF Distribution show that digests, indexes and artifacts survive. The commands are those of
docs/backup.md. The offline tests have every kind of damage, and every order of the steps.
"""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from registry.maintenance.job.images import LIST_REPOSITORY
from registry.maintenance.job.layout import BLOBS, data_path, read_inventory
from registry.maintenance.job.storage import FolderStorage
from registry.maintenance.job.survey import Survey, Surveyor
from tests.e2e import pushers, stack_file
from tests.e2e.lab import ADDRESS, SOAK, Lab, Project, Registry, eventually, marked_block
from tests.e2e.load import connection_fields, run_clients
from tests.e2e.s3 import S3
from tests.e2e.test_maintenance import client_job, run_client

pytestmark = [pytest.mark.e2e, pytest.mark.together]

PAGE = "docs/backup.md"

INDEX = "application/vnd.oci.image.index.v1+json"

FOLDER, OTHER_FOLDER, CLAIM_FOLDER = "/var/lib/lost", "/var/lib/second-site", "/var/lib/claim-with-backup"
"""Folders on the node: the images that are lost, those of the second site, and a claim with a backup."""

SCHEDULE = {"schedule": "30 1 * * *"}

INPUTS: dict[str, Any] = {"namespace": "lost", "port": 5063, "exposure": "external-ips", "external_ips": [ADDRESS]}

CLIENTS = {"pushers": 2, "pullers": 0} if SOAK else {"pushers": 1, "pullers": 0, "pause": 0.1}

Images = dict[str, tuple[set[str], dict[str, str]]]
"""Digests of the manifests, and of the tags by name, by repository."""


class Place(NamedTuple):
    """A place of a backup: the input `backup`, its other inputs, and its secrets."""

    backup: dict[str, Any]
    inputs: dict[str, Any]
    secrets: dict[str, str]


class Site(NamedTuple):
    """The lab, the S3 server and the function that deploy a registry with its backup."""

    lab: Lab
    s3: S3
    deploy: Callable[..., Registry]


@pytest.fixture(scope="module")
def site(lab: Lab, s3: S3, deploy_for_module: Callable[..., Registry]) -> Site:
    return Site(lab, s3, deploy_for_module)


@pytest.fixture(scope="module")
def registry(site: Site) -> Registry:
    """Return a registry on a folder, with images of all kinds and a place for its backup."""
    empty(site.lab, FOLDER)
    registry = deploy(site.deploy, s3_place(site.s3), storage="host-path", storage_path=FOLDER)
    push_all_kinds(registry)
    return registry


@pytest.fixture
def backed_up(site: Site, registry: Registry) -> Registry:
    """Return the registry after its backup, which the test before has made if it ran."""
    if not (site.s3.folder / "backup").exists():
        run_ops(registry, "backup")
    return registry


@pytest.fixture
def restored(site: Site) -> Path:
    """Return the folder of the restored registry's images in the bucket.

    If no test has restored the registry, it is deployed on the bucket with images of all kinds.
    """
    folder = site.s3.folder / "restored"
    if not folder.exists():
        push_all_kinds(deploy(site.deploy, s3_place(site.s3), site.s3.secret_key, **s3_storage(site.s3)))
    return folder


def deploy(deployer: Callable[..., Registry], place: Place, s3_key: str = "", **storage: Any) -> Registry:
    """Deploy the registry with a storage and a place for its backup. The stack is called dev, as on the page."""
    inputs = {**INPUTS, **storage, "backup": place.backup, **place.inputs}
    return deployer("dev", {**place.secrets, **({"s3_secret_key": s3_key} if s3_key else {})}, **inputs)


def s3_place(s3: S3) -> Place:
    bucket = {"bucket": s3.bucket, "endpoint": s3.endpoint, "prefix": "backup"}
    inputs = {"backup_user": s3.access_key, "backup_ca": s3.ca_pem}
    return Place({**SCHEDULE, "to": {"s3": bucket}}, inputs, {"backup_password": s3.secret_key})


def s3_storage(s3: S3) -> dict[str, Any]:
    """Return the inputs of the storage after the loss, without its secret key."""
    bucket = {"s3_bucket": s3.bucket, "s3_endpoint": s3.endpoint, "s3_prefix": "restored"}
    return {"storage": "s3", **bucket, "s3_access_key": s3.access_key, "upstream_ca": s3.ca_pem}


def empty(lab: Lab, folder: str, owner: int = 0) -> Path:
    """Create an empty folder on the first node, and return its path on this machine."""
    path = lab.cluster.path("k8s-master", folder)
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    os.chown(path, owner, owner)
    return path


def survey(folder: Path) -> Survey:
    storage = FolderStorage(folder)
    return Surveyor(storage).survey(read_inventory(storage), 0)


def images_in(folder: Path) -> Images:
    """Return all images in the folder of a storage. `ops status` pushes a blob without a manifest."""
    known = survey(folder)
    return {
        name: ({*repository.manifests}, dict(known.targets[name]))
        for name, repository in known.inventory.repositories.items()
        if name != LIST_REPOSITORY and repository.manifests
    }


def expect_images(found: Images, expected: Images) -> None:
    """Assert that all repositories, tags and digests are the same.

    regsync writes a list of referrers for an artifact with a subject, until the list of the source replaces it. So the
    repository with artifacts may have indexes without a tag.
    """
    assert found.keys() == expected.keys()
    for name, (manifests, tags) in expected.items():
        assert tags == found[name][1], name
        assert manifests <= found[name][0], name
        assert name == "kinds" or manifests == found[name][0], name


def wrong_blobs(folder: Path) -> list[Path]:
    """Return the files whose bytes do not match their digest."""
    files = [Path(path, name) for path, _, names in os.walk(folder / BLOBS) for name in names]
    return [file for file in files if hashlib.sha256(file.read_bytes()).hexdigest() != file.parent.name]


def incomplete(folder: Path, images: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the images with a missing link or missing data, as repository and digest."""
    known = survey(folder)
    broken = []
    for name, digest in images:
        repository = known.inventory.repositories.get(name)
        if (
            repository is None
            or digest not in repository.manifests
            or digest not in known.manifests
            or any(
                layer not in repository.layers or layer not in known.inventory.blobs
                for layer in known.manifests[digest].layers
            )
        ):
            broken.append((name, digest))
    return broken


def put_manifest(registry: Registry, repository: str, reference: str, kind: str = "", **fields: Any) -> dict[str, Any]:
    """Upload a manifest, with a tag or by its digest if `reference` is "". Return its descriptor."""
    kind = kind or pushers.IMAGE_MANIFEST
    content = json.dumps({"schemaVersion": 2, "mediaType": kind, **fields})
    digest = pushers.digest_of(content.encode())
    put = ("--request", "PUT", "--data-binary", content, "--header", f"Content-Type: {kind}")
    assert registry.status(f"/v2/{repository}/manifests/{reference or digest}", *put) == 201
    return {"mediaType": kind, "digest": digest, "size": len(content)}


def image(registry: Registry, repository: str, text: str) -> dict[str, Any]:
    """Upload the blobs of an image, and return the fields of its manifest."""
    described = [
        {"mediaType": "x/y", "digest": registry.push(repository, blob), "size": len(blob)} for blob in ("{}", text)
    ]
    return {"config": described[0], "layers": described[1:]}


def push_all_kinds(registry: Registry) -> None:
    """Push an index of two platforms, an image without a tag, a `sha256-` tag, and an artifact with its subject."""
    children = [
        {**put_manifest(registry, "kinds", "", **image(registry, "kinds", name)), "platform": {"architecture": name}}
        for name in ("amd64", "arm64")
    ]
    index = put_manifest(registry, "kinds", "multi", INDEX, manifests=children)
    put_manifest(registry, "kinds", "", **image(registry, "kinds", "only by its digest"))
    hexadecimal = index["digest"].partition(":")[2]
    put_manifest(registry, "kinds", f"sha256-{hexadecimal}.sig", **image(registry, "kinds", "a signature"))
    fields = image(registry, "kinds", "a bill of materials")
    artifact = put_manifest(registry, "kinds", "", artifactType="example/sbom", subject=index, **fields)
    listed = {**artifact, "artifactType": "example/sbom"}
    put_manifest(registry, "kinds", f"sha256-{hexadecimal}", INDEX, manifests=[listed])


def run_ops(registry: Registry, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Run a command of `ops` with --json, and return its output."""
    done = registry.ops(*arguments, "--json", connects=False)
    assert done.returncode == code, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def type_block(project: Project, block: str) -> None:
    """Type the commands of a block in the folder of the project."""
    block = block.replace("python -m ops", f"{sys.executable} -m ops")
    done = project.lab.environment.run("env", "--chdir", str(project.folder), "sh", "-ec", block, check=False)
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"


def lose_everything(project: Project) -> None:
    """Delete the namespace, the folder with the images, and the state. The page lists the kept files."""
    project.lab.kubectl("delete", "namespace", "lost", "--wait=true")
    eventually(60, "the volume is gone", lambda: "lost/" not in project.lab.kubectl("get", "pv"))
    empty(project.lab, FOLDER)
    shutil.rmtree(stack_file.path(project.lab.environment, project.name, "dev").parent)


def test_a_backup_under_pushes_has_every_image_that_was_complete(
    site: Site, registry: Registry, figures: Callable[[str], None]
) -> None:
    program = Path(pushers.__file__)
    with run_clients(registry, program, client_job(registry, "load", seed="before", least=8, **CLIENTS)) as before:
        pass
    folder = site.s3.folder / "backup"
    with run_clients(registry, program, client_job(registry, "load", seed="meanwhile", **CLIENTS)) as meanwhile:
        start = time.monotonic()
        first = run_ops(registry, "backup")
        first_seconds = time.monotonic() - start
        backed_up = images_in(folder)
    assert before["failures"] == meanwhile["failures"] == []
    complete = [(repository, digest) for repository, _, digest in before["accepted"]]
    assert incomplete(folder, complete) == []
    again = {(repository, tag) for repository, tag, _ in meanwhile["accepted"]}
    newest = {(repository, tag): digest for repository, tag, digest in before["accepted"]}
    for (repository, tag), digest in newest.items():
        if (repository, tag) not in again:
            assert backed_up[repository][1][tag] == digest
    assert first["damage"] == []
    start = time.monotonic()
    second = run_ops(registry, "backup")
    second_seconds = time.monotonic() - start
    third = run_ops(registry, "backup")
    live = site.lab.cluster.path("k8s-master", FOLDER)
    expected, now = images_in(live), images_in(folder)
    expect_images(now, expected)
    assert wrong_blobs(folder) == []
    assert third["copied"] == 0
    figures(
        f"backup to S3 under {len(meanwhile['accepted'])} pushes: {first['images']} images, {first['copied']} copied, "
        f"{first['bytes_copied'] / 1e6:.1f} MB, {first['seconds']:.1f} s ({first_seconds:.1f} s with its Pod); "
        f"second: {second['copied']} copied, {second['seconds']:.1f} s ({second_seconds:.1f} s); third: "
        f"{third['copied']} copied, {third['seconds']:.1f} s; {len(complete)} images complete before, 0 incomplete"
    )
    status = json.loads(registry.ops("status", "--no-drift", "--json").stdout)
    assert status["backup"]["remedy"] == ""


def test_everything_lost_comes_back_on_another_storage(
    site: Site, backed_up: Registry, figures: Callable[[str], None]
) -> None:
    project, s3 = backed_up.project, site.s3
    type_block(project, marked_block("save-state", "sh", PAGE))
    before, images = project.outputs(), images_in(project.lab.cluster.path("k8s-master", FOLDER))
    lose_everything(project)
    start = time.monotonic()
    type_block(project, marked_block("import-state", "sh", PAGE))
    place = s3_place(s3)
    inputs = {**INPUTS, **s3_storage(s3), "backup": place.backup, **place.inputs}
    project.configure({**place.secrets, "s3_secret_key": s3.secret_key}, **inputs)
    type_block(project, marked_block("restore", "sh", PAGE))
    seconds = time.monotonic() - start
    project.lab.wait_for_kube_proxies()
    outputs = project.outputs()
    for key in ("endpoint", "ca_pem", "username", "password", "passwords"):
        assert outputs[key] == before[key], key
    folder = s3.folder / "restored"
    expect_images(images_in(folder), images)
    assert wrong_blobs(folder) == []
    registry = Registry(project, outputs, f"{ADDRESS}:{INPUTS['port']}")
    assert registry.status("/v2/kinds/manifests/multi", "--header", f"Accept: {INDEX}") == 200
    count = sum(len(manifests) for manifests, _ in images.values())
    figures(f"restore: {count} manifests of {len(images)} repositories, from nothing to serving in {seconds:.0f} s")


CLAIM = """\
apiVersion: v1
kind: PersistentVolume
metadata: {name: backup}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {storage: 1Gi}
  claimRef: {namespace: lost, name: backup}
  hostPath: {path: FOLDER}
  nodeAffinity:
    required:
      nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [k8s-master]}]}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: backup, namespace: lost}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  volumeName: backup
  resources: {requests: {storage: 1Gi}}
"""


def test_a_backup_on_a_claim_names_what_is_missing_or_damaged(
    site: Site, restored: Path, figures: Callable[[str], None]
) -> None:
    lab = site.lab
    folder = empty(lab, CLAIM_FOLDER, owner=65532)
    lab.environment.run("kubectl", "apply", "--filename=-", stdin=CLAIM.replace("FOLDER", CLAIM_FOLDER))
    try:
        place = Place({**SCHEDULE, "to": {"claim": "backup"}}, {}, {})
        registry = deploy(site.deploy, place, site.s3.secret_key, **s3_storage(site.s3))
        done = run_ops(registry, "backup")
        images = images_in(restored)
        expect_images(images_in(folder), images)
        layers = {name: pushers.digest_of(name.encode()) for name in ("a signature", "amd64")}
        data = folder / data_path(layers["a signature"])
        data.write_bytes(b"A" + data.read_bytes()[1:])
        (folder / data_path(layers["amd64"])).unlink()
        dry = run_ops(registry, "restore", "--dry-run", code=1)
        found = {each["digest"]: (each["images"], each["kind"]) for each in dry["damage"]}
        assert found.keys() == {*layers.values()}
        assert found[layers["amd64"]] == (["kinds:multi"], "the data is missing")
        assert found[layers["a signature"]][1] == "the bytes do not match the digest"
        figures(f"backup to a claim: {done['copied']} images, {done['seconds']:.1f} s; 2 of 2 kinds of damage named")
    finally:
        lab.kubectl("delete", "pvc", "backup", "--namespace=lost", "--wait=false")
        lab.kubectl("delete", "pv", "backup", "--wait=false")


def test_a_second_site_is_kept_current_and_serves_after_the_switch(
    site: Site, restored: Path, figures: Callable[[str], None]
) -> None:
    lab = site.lab
    other_folder = empty(lab, OTHER_FOLDER)
    other_inputs = {"exposure": "external-ips", "external_ips": [ADDRESS], "storage_path": OTHER_FOLDER}
    second = site.deploy("second-site", namespace="second-site", port=5064, **other_inputs)
    place = Place(
        {**SCHEDULE, "to": {"registry": {"url": f"https://{ADDRESS}:5064"}}},
        {"backup_user": second.outputs["username"], "backup_ca": second.outputs["ca_pem"]},
        {"backup_password": second.outputs["password"]},
    )
    first = deploy(site.deploy, place, site.s3.secret_key, **s3_storage(site.s3))
    full = run_ops(first, "backup")
    new = [("team/new", "1", "config", "a layer that is new")]
    pushed = run_client(first, push=new)
    later = run_ops(first, "backup")
    assert later["copied"] == 1
    lost = run_client(first, push=[("team/new", "2", "config", "a layer after the last run")])
    images = images_in(restored)
    start = time.monotonic()
    there = images_in(other_folder)
    missing = {(name, tag) for name, (_, tags) in images.items() for tag in tags if tag not in there[name][1]}
    assert missing == {("team/new", "2")}, "Only what was pushed after the last run is lost."
    checked = json.dumps({"task": "once", **connection_fields(second), "check": pushed["accepted"]}) + "\n"
    done = lab.environment.run(sys.executable, pushers.__file__, stdin=checked)
    assert json.loads(done.stdout)["failures"] == []
    assert lost["accepted"]
    figures(
        f"second site: {full['copied']} images in {full['seconds']:.1f} s, then {later['copied']} in "
        f"{later['seconds']:.1f} s; the switch serves after {time.monotonic() - start:.1f} s; 1 image after the last "
        "run is lost"
    )
