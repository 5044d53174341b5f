"""Free space under load, and find and repair damaged images, with the commands and jobs of maintenance.

The offline tests have every order of the steps, and every kind of storage. Only real clients and a real registry show
that no accepted image breaks while space is freed.
"""

import json
import os
import random
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from registry.maintenance.job.layout import BLOBS, LAYER, MANIFEST, TAG, Link, data_path
from tests.e2e import pushers
from tests.e2e.lab import ADDRESS, SOAK, Lab, Registry, eventually, marked_block
from tests.e2e.load import connection_fields, run_clients
from tests.e2e.s3 import S3

pytestmark = [pytest.mark.e2e, pytest.mark.drill]

COLLECTIONS = {"on_folder": 40, "on_s3": 20} if SOAK else {"on_folder": 3, "on_s3": 3}
"""Number of successive collections by storage. Every second one is killed. In a folder they take half of the time."""

LEAST_PUSHES = 500 if SOAK else 20
"""Number of images that the registry must accept during the collections, for each storage."""

CLIENTS = {"pushers": 4, "pullers": 4} if SOAK else {"pushers": 2, "pullers": 2}
"""Number of clients by kind (`pushers.py`)."""

GRACE, PAUSE = 3, 2
"""Seconds of the options `--grace` and `--pause`, instead of two hours and two minutes. A push is faster than GRACE."""

LAYER_SIZE = 30_000
"""Bytes of a layer."""

LEAST_RATE = 120
"""MB that one core must hash in a second, at least."""

FOLDER = "/var/lib/kept"

NIGHTLY = {"schedule": "30 2 * * *"}

SETTINGS: dict[str, Any] = {
    "namespace": "kept",
    "port": 5061,
    "exposure": "external-ips",
    "external_ips": [ADDRESS],
    "collect": {**NIGHTLY, "delete_untagged": True},
    "retention": [{"repositories": ["load/*"], "tags": ["pr-*"], "keep": 3}],
    "scrub": {**NIGHTLY, "heal": True},
}


class StoredRegistry(NamedTuple):
    """A registry whose files the test can read.

    Attributes:
        registry: The registry.
        folder: The folder with its files on this machine.
    """

    registry: Registry
    folder: Path


@pytest.fixture(scope="module")
def on_folder(lab: Lab, deploy_for_module: Callable[..., Registry]) -> StoredRegistry:
    folder = lab.cluster.path("k8s-master", FOLDER)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    registry = deploy_for_module("kept", storage="host-path", storage_path=FOLDER, **SETTINGS)
    return StoredRegistry(registry, folder)


@pytest.fixture
def on_s3(s3: S3, deploy_registry: Callable[..., Registry]) -> StoredRegistry:
    settings = {
        **SETTINGS,
        "namespace": "kept-in-s3",
        "port": 5062,
        "storage": "s3",
        "s3_bucket": s3.bucket,
        "s3_endpoint": s3.endpoint,
        "s3_prefix": "kept",
        "s3_access_key": s3.access_key,
        "upstream_ca": s3.ca_pem,
        "workload": "deployment",
        "replicas": 2,
    }
    registry = deploy_registry("kept-in-s3", {"s3_secret_key": s3.secret_key}, **settings)
    return StoredRegistry(registry, s3.folder / "kept")


def client_job(registry: Registry, task: str, **more: Any) -> dict[str, Any]:
    """Return a job of pushers.py. `more` are other fields of the job."""
    defaults = {"pause": 0.02, "size": LAYER_SIZE, "seed": registry.project.folder.name}
    return {"task": task, **connection_fields(registry), **defaults, **more}


def run_client(registry: Registry, **more: Any) -> dict[str, Any]:
    """Push and check the images in the job once, and return the results."""
    job = json.dumps(client_job(registry, "once", **more)) + "\n"
    done = registry.project.lab.environment.run(sys.executable, pushers.__file__, stdin=job, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def collection_script(number: int, *, kills: bool) -> str:
    """Return a script that runs a number of collections.

    If `kills` is true, the script kills every second collection at a random moment, except the last one.
    """
    rng = random.Random(number)
    collection = f"python3 -B -m job collect --grace {GRACE} --pause {PAUSE}"
    lines = []
    for count in range(number):
        if kills and count % 2 == 1 and count < number - 1:
            lines.append(f"{collection} & sleep {rng.uniform(0.2, PAUSE + 2):.2f}; kill -9 $!; wait")
        else:
            lines.append(f"{collection} || exit 1")
    return "\n".join(lines)


def run_script(registry: Registry, script: str) -> list[dict[str, Any]]:
    """Run a script in a Job like that of `collect`. Return the summary of each collection that was not killed."""
    lab, namespace = registry.project.lab, registry.outputs["namespace"]
    cron_job = lab.get("cronjob", "docker-registry-collect", namespace)
    template = cron_job["spec"]["jobTemplate"]
    template["spec"]["template"]["spec"]["containers"][0] |= {"command": ["sh", "-c", script], "args": []}
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "collections"}, "spec": template["spec"]}
    lab.environment.run("kubectl", f"--namespace={namespace}", "apply", "--filename=-", stdin=json.dumps(body))
    try:
        eventually(
            1800 if SOAK else 600,
            "the collections end",
            lambda: has_ended(lab.get("job", "collections", namespace)),
            pause=1,
        )
        job = lab.get("job", "collections", namespace)
        log = lab.kubectl(f"--namespace={namespace}", "logs", "job/collections", "--tail=-1")
        assert job["status"].get("succeeded") == 1, f"{job['status']}\n{log[-3000:]}"
    finally:
        lab.kubectl(f"--namespace={namespace}", "delete", "job", "collections", "--wait=false")
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [event for event in events if event["event"] == "summary"]


def has_ended(job: Mapping[str, Any]) -> bool:
    """Return whether the Job has succeeded or failed."""
    conditions = job["status"].get("conditions", [])
    return any(each["status"] == "True" and each["type"] in ("Complete", "Failed") for each in conditions)


def stored_bytes(folder: Path) -> int:
    """Return the size of all blobs."""
    return sum(Path(path, name).stat().st_size for path, _, names in os.walk(folder / BLOBS) for name in names)


@pytest.mark.parametrize("storage", ["on_folder", "on_s3"])
def test_collections_under_load_break_no_accepted_image(
    storage: str, request: pytest.FixtureRequest, figures: Callable[[str], None]
) -> None:
    stored: StoredRegistry = request.getfixturevalue(storage)
    registry = stored.registry
    with run_clients(
        registry, Path(pushers.__file__), client_job(registry, "load", least=LEAST_PUSHES, **CLIENTS)
    ) as results:
        summaries = run_script(registry, collection_script(COLLECTIONS[storage], kills=True))
    before = stored_bytes(stored.folder)
    (last,) = run_script(registry, f"sleep {GRACE + 1}; {collection_script(1, kills=False)}")
    after = stored_bytes(stored.folder)
    newest = {(repository, tag): digest for repository, tag, digest in results["accepted"]}
    # `retention` deletes images with tags pr-*.
    kept = [(*image, digest) for image, digest in newest.items() if not image[1].startswith("pr-")]
    checked = run_client(registry, check=kept)
    freed = sum(each["bytes_freed"] for each in [*summaries, last])
    removed = sum(each["blobs_removed"] for each in [*summaries, last])
    slowest, refused = max(results["seconds"]), sum(results["refused"].values())
    figures(
        f"{storage}: {COLLECTIONS[storage]} collections, {COLLECTIONS[storage] - len(summaries)} killed, "
        f"{len(results['accepted'])} pushes accepted (slowest {slowest:.1f} s), "
        f"{refused} refused and repeated {results['refused']}, {results['pulls']} pulls; "
        f"{len(kept)} images checked, {len(checked['failures'])} broken; "
        f"{removed} blobs and {freed / 1e6:.1f} MB freed, {before / 1e6:.1f} -> {after / 1e6:.1f} MB"
    )
    assert checked["failures"] == []
    assert results["failures"] == []
    assert len(results["accepted"]) >= LEAST_PUSHES
    assert removed > 20, "the collections freed space"
    assert after < before
    assert all(each["damage"] == [] for each in [*summaries, last])
    assert not list((stored.folder / "private-registry").glob("trash/*/*"))


class Damage(NamedTuple):
    """A damaged file.

    Attributes:
        file: The kind of file.
        report_name: The name of the file's kind in the report.
    """

    file: str
    report_name: str


LAYER_DATA, MANIFEST_DATA = "layer data", "manifest data"

DAMAGE = {
    "flipped": Damage(LAYER_DATA, "blob"),
    "emptied": Damage(LAYER_DATA, "blob"),
    "halved": Damage(LAYER_DATA, "blob"),
    "flipped-manifest": Damage(MANIFEST_DATA, "manifest"),
    "deleted": Damage(LAYER_DATA, "blob"),
    "layer-link": Damage(LAYER, "layer link"),
    "tag-link": Damage(TAG, "tag link"),
    "revision-link": Damage(MANIFEST, "manifest link"),
}
"""Damage by its kind, which is also the name of the repository with the damaged image. Links are emptied."""


def damage_image(folder: Path, kind: str, digest: str) -> None:
    """Damage the image `damaged/KIND:1`. Its only layer has the seed `kind`, and its manifest has the digest."""
    layer = pushers.digest_of(pushers.layer_of(kind, LAYER_SIZE))
    paths = {
        LAYER_DATA: data_path(layer),
        MANIFEST_DATA: data_path(digest),
        LAYER: Link(f"damaged/{kind}", LAYER, layer).path,
        TAG: Link(f"damaged/{kind}", TAG, tag="1").path,
        MANIFEST: Link(f"damaged/{kind}", MANIFEST, digest).path,
    }
    file = folder / paths[DAMAGE[kind].file]
    content = file.read_bytes()
    if kind == "deleted":
        file.unlink()
    elif kind == "halved":
        file.write_bytes(content[: len(content) // 2])
    elif kind.startswith("flipped"):
        file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    else:
        file.write_bytes(b"")


def test_the_commands_find_damage_and_a_push_heals_it(
    lab: Lab, on_folder: StoredRegistry, figures: Callable[[str], None]
) -> None:
    registry, folder = on_folder
    images = [(f"damaged/{kind}", "1", "config", kind) for kind in DAMAGE]
    pushed = run_client(registry, push=images)
    for (_, _, digest), kind in zip(pushed["accepted"], DAMAGE, strict=True):
        damage_image(folder, kind, digest)
    assert len(run_client(registry, check=pushed["accepted"])["failures"]) == len(DAMAGE)
    dry_run = registry.ops("scrub", "--all", "--dry-run", "--json", connects=False)
    assert dry_run.returncode == 1, dry_run.stdout + dry_run.stderr
    reported = json.loads(dry_run.stdout)["damage"]
    expected = sorted((f"damaged/{kind}:1", damage.report_name) for kind, damage in DAMAGE.items())
    assert sorted((each["images"][0], each["what"]) for each in reported) == expected
    status = json.loads(registry.ops("status", "--no-drift", "--json").stdout)
    assert "damaged/" in status["scrub"]["remedy"]
    (command,) = marked_block("damaged-image", "sh", "docs/maintenance.md").splitlines()
    healed = registry.ops(*command.removeprefix("python -m ops ").split(), connects=False)
    assert healed.returncode == 1, healed.stdout + healed.stderr
    assert "moved aside" in healed.stdout
    assert "written again" in healed.stdout
    pushed_again = run_client(registry, push=images, check=pushed["accepted"])
    assert pushed_again["failures"] == []
    after = registry.ops("scrub", "--all", "--json", connects=False)
    assert after.returncode == 0, after.stdout + after.stderr
    assert json.loads(after.stdout)["damage"] == []
    figures(f"scrub: {len(reported)} of {len(DAMAGE)} kinds of damage found and healed")
    results = {command: registry.ops(*command.split(), connects=False) for command in ("collect", "prune --dry-run")}
    for command, done in results.items():
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert "freed" in done.stdout
    status = json.loads(registry.ops("status", "--no-drift", "--json").stdout)
    assert [status[key]["remedy"] for key in ("collect", "scrub")] == ["", ""]
    _measure_rate(lab, figures)
    level = lab.get("namespace", "kept")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert level == "baseline", "the folder belongs to root, so the Pods run as root"


def _measure_rate(lab: Lab, figures: Callable[[str], None]) -> None:
    """Measure how fast Python in the image of the jobs hashes, because a scrub reads and hashes all blobs."""
    code = "import hashlib, time; start = time.process_time(); hashlib.sha256(bytes(2**28)); "
    code += "print(2**28 / 1e6 / (time.process_time() - start))"
    cron_job = lab.get("cronjob", "docker-registry-scrub", "kept")
    image = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"]
    lab.kubectl("--namespace=kept", "run", "rate", f"--image={image}", "--restart=Never", "--", "python3", "-c", code)
    eventually(60, "the rate is measured", lambda: lab.get("pod", "rate", "kept")["status"]["phase"] == "Succeeded")
    rate = float(lab.kubectl("--namespace=kept", "logs", "rate"))
    lab.kubectl("--namespace=kept", "delete", "pod", "rate", "--wait=false")
    figures(f"scrub: {rate:.0f} MB/s a core")
    assert rate > LEAST_RATE
