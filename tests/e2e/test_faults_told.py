"""Put a fault into a registry, read `ops status` and `ops verify`, type the remedy, and see both green again.

Only a real disk, kubelet, S3 server and engine show the text of a fault, and that the commands help.
"""

import json
import re
import secrets
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import pytest

from tests.e2e import s3 as s3_server
from tests.e2e.faults import (
    add_garbage,
    fill,
    on_node,
    quick_jobs,
    remove_ballast,
    small_disk,
    type_commands,
    typed_commands,
    use_inodes,
)
from tests.e2e.lab import ADDRESS, NAMESPACE, SOAK, STORAGE_PATH, Lab, Registry, eventually, marked_block, read_secret
from tests.e2e.s3 import S3
from tests.issuing import CertificateSpec, issue, server_spec

pytestmark = [pytest.mark.e2e, pytest.mark.together]

NAME = "faulty"

FOLDER = f"/var/lib/{NAME}"

INODES = 1000

SETTINGS: dict[str, Any] = {
    **{"namespace": NAME, "port": 5065, "exposure": "external-ips", "external_ips": [ADDRESS]},
    **{"storage": "host-path", "storage_path": FOLDER, "workload": "deployment"},
    **{"limits": {"memory": "64Mi"}, "requests": {"memory": "32Mi"}},
    "collect": {"schedule": "30 2 * * *"},
}

LARGEST_MANIFEST, PARALLEL = 4 * 2**20 - 2, 40
"""Bytes of the largest manifest that the registry accepts, without its brackets, and number of such pushes at once."""

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"

KEPT = ("kept/image", "a layer that stays")


class Fault(NamedTuple):
    """A fault, and how `ops` reports it.

    Attributes:
        cause: Causes the fault until the block ends.
        rows: Words of `ops status` by row, whose remedies differ from "".
        failure: Words of `ops verify`, or "" if it passes.
        remedy: Row whose remedy is typed.
        is_slow: Whether the drift has to be checked, which takes some seconds.
        most: Number of commands of the remedy that are typed, because the others are for another case.
    """

    cause: Callable[[Registry], AbstractContextManager[None]]
    rows: Mapping[str, str]
    failure: str
    remedy: str
    is_slow: bool = False
    most: int | None = None


def ballast(filling: Callable[[Lab, str], None]) -> Callable[[Registry], AbstractContextManager[None]]:
    """Return a fault: store blobs that no image needs, and fill the rest of the disk with other files."""

    @contextmanager
    def fault(registry: Registry) -> Iterator[None]:
        lab = registry.project.lab
        add_garbage(lab, FOLDER)
        with quick_jobs(lab, NAME):
            filling(lab, FOLDER)
            try:
                yield
            finally:
                remove_ballast(lab, FOLDER)

    return fault


@contextmanager
def read_only(registry: Registry) -> Iterator[None]:
    on_node(registry.project.lab, f"mount -o remount,ro {FOLDER}")
    yield


@contextmanager
def foreign_folder(registry: Registry) -> Iterator[None]:
    on_node(registry.project.lab, f"chown -R 1000 {FOLDER}; chmod -R go-rwx {FOLDER}")
    yield


@contextmanager
def out_of_memory(registry: Registry) -> Iterator[None]:
    """Push many large manifests at once. The registry holds each of them in memory."""
    body = registry.project.folder / "manifest"
    body.write_bytes(b"[%s]" % (b" " * LARGEST_MANIFEST))
    put = ("--request", "PUT", "--data-binary", f"@{body}", "--header", f"Content-Type: {MANIFEST_TYPE}")
    with ThreadPoolExecutor(PARALLEL) as executor:
        list(executor.map(lambda number: registry.status(f"/v2/large/manifests/{number}", *put), range(PARALLEL)))
    eventually(60, "the container is started again", lambda: has_restarted(registry.project.lab))
    registry.project.lab.wait_for_proxies()
    yield


def has_restarted(lab: Lab) -> bool:
    (pod,) = lab.api.objects("pods", NAME, labels=f"app.kubernetes.io/name={NAMESPACE}")
    (status,) = pod["status"]["containerStatuses"]
    return bool(status["restartCount"]) and bool(status["ready"])


@contextmanager
def deleted_volume(registry: Registry) -> Iterator[None]:
    lab = registry.project.lab
    (claim,) = lab.api.objects("persistentvolumeclaims", NAME)
    lab.kubectl("delete", "pv", claim["spec"]["volumeName"], "--wait=false")
    yield


@contextmanager
def edited_configuration(registry: Registry) -> Iterator[None]:
    lab = registry.project.lab
    config = json.loads(read_secret(lab, NAME, "configuration-secret")["config.yml"])
    edited = json.dumps(config | {"log": {"level": "debug"}})
    patch_secret(lab, "configuration-secret", {"config.yml": edited})
    yield


@contextmanager
def foreign_certificate(registry: Registry) -> Iterator[None]:
    """Edit the certificate, and restart the registry with it."""
    lab = registry.project.lab
    other = issue(server_spec(NAMESPACE), issue(CertificateSpec(name="another CA")))
    patch_secret(lab, "cert-secret", {"tls.crt": other.pem, "tls.key": other.key_pem})
    in_pod = ("exec", "--namespace", NAME, f"deploy/{NAMESPACE}", "--")
    certificate = b64encode(other.pem.encode()).decode()
    eventually(
        120,
        "the Pod has the edited certificate",
        lambda: lab.kubectl(*in_pod, "base64", "-w0", "/certs/tls.crt") == certificate,
        pause=1,
    )
    lab.kubectl(*in_pod, "kill", "1", check=False)
    eventually(30, "the container is started again", lambda: has_restarted(lab))
    lab.wait_for_proxies()
    yield


def patch_secret(lab: Lab, name: str, data: Mapping[str, str]) -> None:
    lab.kubectl("--namespace", NAME, "patch", "secret", name, "--patch", json.dumps({"stringData": data}))


@contextmanager
def edited_limits(registry: Registry) -> Iterator[None]:
    lab = registry.project.lab
    lab.kubectl("--namespace", NAME, "set", "resources", f"deploy/{NAMESPACE}", "--limits=memory=96Mi")
    lab.kubectl("--namespace", NAME, "rollout", "status", f"deploy/{NAMESPACE}")
    lab.wait_for_proxies()
    yield


@contextmanager
def suspended_job(registry: Registry) -> Iterator[None]:
    patch = ("patch", "cronjob", "docker-registry-collect", "--patch", '{"spec":{"suspend":true}}')
    registry.project.lab.kubectl("--namespace", NAME, *patch)
    yield


FULL = {"push": "no space left", "space": "no space left"}

FAULTS = {
    "last byte": Fault(ballast(fill), FULL, "no space left", "space"),
    "last inode": Fault(
        ballast(use_inodes), {"push": "no inodes left", "space": "no inodes left"}, "no inodes left", "space"
    ),
    "read-only": Fault(read_only, {"push": "is read-only", "space": "is read-only"}, "is read-only", "space"),
    "another user": Fault(foreign_folder, {"push": "another user than 0"}, "another user than 0", "push"),
    "volume": Fault(deleted_volume, {"volume": "Terminating"}, "", "volume"),
    "configuration": Fault(
        edited_configuration, {"secrets": "configuration-secret has changed"}, "", "secrets", most=1
    ),
    "certificate": Fault(foreign_certificate, {"leaf": "do not trust", "push": "x509"}, "x509", "leaf"),
    "limits": Fault(edited_limits, {"drift": "conflict"}, "", "drift", is_slow=True),
    "suspended": Fault(suspended_job, {"collect": "suspended"}, "", "collect"),
    "memory": Fault(out_of_memory, {"restarts": "OOMKilled, exit code 137, limit 64Mi"}, "", "restarts"),
}
"""Faults of a registry with a folder. The last one changes the config of the stack."""


@pytest.fixture(scope="module")
def faulty(lab: Lab, deploy_for_module: Callable[..., Registry]) -> Iterator[Registry]:
    """Yield a registry on a small disk, after an image and a collection, which keeps a reserve."""
    with small_disk(lab, FOLDER, "40m", INODES):
        registry = deploy_for_module(NAME, **SETTINGS)
        registry.push(*KEPT)
        done = registry.ops("collect", connects=False)
        assert done.returncode == 0, done.stdout + done.stderr
        yield registry
        registry.project.pulumi("destroy", "--yes", "--skip-preview")


def read_status(registry: Registry, *arguments: str) -> dict[str, Any]:
    done = registry.ops("status", "--json", *arguments)
    report = dict(json.loads(done.stdout or "{}"))
    assert done.returncode == (0 if report.get("healthy") else 1), done.stdout + done.stderr
    assert registry.outputs["password"] not in done.stdout + done.stderr
    return report


def told_rows(report: Mapping[str, Any]) -> dict[str, str]:
    """Return what each row with a remedy has seen."""
    return {key: row["seen"] for key, row in report.items() if isinstance(row, dict) and row["remedy"]}


def read_failure(registry: Registry) -> str:
    """Return the failure of `ops verify`, or "" if all checks pass."""
    done = registry.ops("verify", "--json")
    failed = [check for check in json.loads(done.stdout)["checks"] if not check["passed"]]
    assert done.returncode == (1 if failed else 0), done.stdout + done.stderr
    assert all(check["remedy"] for check in failed)
    return f"{failed[0]['seen']} {failed[0]['remedy']}" if failed else ""


def read_both(registry: Registry, *arguments: str) -> tuple[dict[str, Any], str]:
    """Return the report of `ops status`, and the failure of `ops verify`."""
    with ThreadPoolExecutor() as executor:
        report = executor.submit(read_status, registry, *arguments)
        return report.result(), read_failure(registry)


def is_green(registry: Registry, *arguments: str) -> bool:
    report, failure = read_both(registry, *arguments)
    return not told_rows(report) and not failure


def pod_of(lab: Lab) -> tuple[str, int]:
    """Return the UID of the only Pod, and how often its container was started again."""
    (pod,) = lab.api.objects("pods", NAME, labels=f"app.kubernetes.io/name={NAMESPACE}")
    return pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_and_its_remedy_helps(
    faulty: Registry, lab: Lab, name: str, figures: Callable[[str], None]
) -> None:
    fault = FAULTS[name]
    options = () if fault.is_slow else ("--no-drift",)
    digest = faulty.push(*KEPT) if name not in ("last byte", "last inode") else ""
    pod = pod_of(lab)
    with fault.cause(faulty):
        report, failure = read_both(faulty, *options)
        rows = told_rows(report)
        figures(f"{name}: {rows}; verify: {failure or 'passes'}")
        assert rows.keys() == fault.rows.keys()
        assert all(words in rows[key] for key, words in fault.rows.items())
        assert fault.failure in failure
        assert bool(failure) == bool(fault.failure)
        commands = typed_commands(report[fault.remedy]["remedy"])[: fault.most]
        if name.startswith("last"):
            assert commands == marked_block("full-disk", "sh", "docs/maintenance.md").splitlines()
        type_commands(faulty, commands)
        eventually(120, "status and verify are green", lambda: is_green(faulty, *options), pause=1)
    assert faulty.has(KEPT[0], digest or faulty.push(*KEPT))
    if name in ("last byte", "last inode", "read-only", "another user"):
        assert pod_of(lab) == pod, "no new Pod was needed"


def test_pulls_go_on_and_pushes_are_refused_with_the_reason_while_the_disk_is_full(faulty: Registry, lab: Lab) -> None:
    digest = faulty.push(*KEPT)
    upload = (f"/v2/{KEPT[0]}/blobs/uploads/", "--request", "POST", "--data", "")
    for cause, words in ((ballast(fill), "no space left on device"), (read_only, "read-only file system")):
        with cause(faulty):
            assert faulty.has(KEPT[0], digest)
            assert faulty.status("/v2/") == 200
            answer = faulty.curl(*upload).stdout
            assert words in answer, answer
        on_node(lab, f"mount -o remount,rw {FOLDER}")
    assert faulty.status(*upload) == 202


def test_a_full_disk_without_a_reserve_is_freed_as_the_page_says(faulty: Registry, lab: Lab) -> None:
    on_node(lab, f"rm -r {FOLDER}/private-registry/reserve")
    upload = ("--request", "POST", "--head")
    location = re.search(
        r"^location: \S*?(/v2/\S+)", faulty.curl("/v2/cut/blobs/uploads/", *upload).stdout, re.M | re.I
    )
    assert location
    patch = ("--request", "PATCH", "--data-binary", "x" * 100_000, "--header", "Content-Type: application/octet-stream")
    assert faulty.status(location[1], *patch) == 202
    with ballast(use_inodes)(faulty):
        if SOAK:  # Kubernetes tries the job three times, in 40 seconds
            refused = faulty.ops("collect", connects=False)
            assert refused.returncode == 2, refused.stdout + refused.stderr
            assert "No space left on device" in refused.stderr
        block = marked_block("no-reserve", "sh", "docs/maintenance.md")
        assert STORAGE_PATH in block
        on_node(lab, block.replace(STORAGE_PATH, FOLDER))
        type_commands(faulty, marked_block("full-disk", "sh", "docs/maintenance.md").splitlines())
        assert is_green(faulty, "--no-drift")
    assert on_node(lab, f"ls {FOLDER}/private-registry/reserve")


def test_min_free_refuses_pushes_before_the_disk_is_full(
    faulty: Registry, lab: Lab, deploy_for_module: Callable[..., Registry]
) -> None:
    registry = deploy_for_module(NAME, min_free=25, **SETTINGS)
    digest = registry.push(*KEPT)
    assert told_rows(read_status(registry, "--no-drift")) == {}
    with ballast(fill_in_part)(registry):
        upload = (f"/v2/{KEPT[0]}/blobs/uploads/", "--request", "POST", "--data", "")
        eventually(20, "a push is refused", lambda: registry.status(*upload) == 507)
        assert "nearly full" in registry.curl(*upload).stdout
        assert registry.has(KEPT[0], digest)
        report = read_status(registry, "--no-drift")
        assert "`min_free`" in told_rows(report)["push"]
        assert "`min_free`" in read_failure(registry)
        type_commands(registry, typed_commands(report["push"]["remedy"]))
        eventually(120, "status and verify are green", lambda: is_green(registry, "--no-drift"), pause=1)


def fill_in_part(lab: Lab, folder: str) -> None:
    """Leave less than a quarter of the disk, and enough that a push would succeed."""
    on_node(lab, f"fallocate -l 24M {folder}/ballast")


def test_the_faults_of_an_object_store_are_told(
    lab: Lab, s3: S3, deploy_for_module: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    inputs = {"storage": "s3", "s3_bucket": s3.bucket, "s3_endpoint": s3.endpoint, "s3_prefix": "faults"}
    inputs |= {"s3_access_key": s3.access_key, "upstream_ca": s3.ca_pem, "workload": "deployment"}
    settings = {"namespace": "stored", "port": 5066, "exposure": "external-ips", "external_ips": [ADDRESS], **inputs}
    registry = deploy_for_module("stored", {"s3_secret_key": s3.secret_key}, **settings)
    digest = registry.push(*KEPT)
    assert told_rows(read_status(registry)) == {}
    assert not [path for path in (s3.folder / "faults").rglob("*") if "_uploads" in path.parts and path.is_file()]

    def assert_told(words: str, remedy: str) -> None:
        def is_told() -> bool:
            row = read_status(registry, "--no-drift")["servers"]
            return words in row["seen"] and remedy in row["remedy"]

        eventually(60, f"status tells {words}", is_told, pause=1)
        failure = read_failure(registry)
        figures(f"s3: {failure}")
        assert words in failure
        assert remedy in failure

    s3_server.stop(lab.cluster)
    with restored(lambda: s3_server.start(lab.cluster, s3)):
        assert_told("no program listens", "Start the server")
    eventually(90, "status and verify are green", lambda: is_green(registry, "--no-drift"), pause=1)

    aside = s3.folder.with_name("aside")
    s3.folder.rename(aside)
    with restored(lambda: aside.rename(s3.folder)):
        assert_told("The bucket does not exist", "Create the bucket")
    eventually(90, "status and verify are green", lambda: is_green(registry, "--no-drift"), pause=1)

    changed = replace(s3, secret_key=secrets.token_hex(20))
    restart(lab, changed)
    with restored(partial(restart, lab, s3)):
        assert_told("refused the login", "`s3_secret_key`")
        deploy_for_module("stored", {"s3_secret_key": changed.secret_key}, **settings)
        eventually(90, "status and verify are green", lambda: is_green(registry, "--no-drift"), pause=1)
        assert registry.has(KEPT[0], digest)


def restart(lab: Lab, s3: S3) -> None:
    """Start the server again, with the keys of `s3`."""
    s3_server.stop(lab.cluster)
    s3_server.start(lab.cluster, s3)


@contextmanager
def restored(restore: Callable[[], object]) -> Iterator[None]:
    try:
        yield
    finally:
        restore()
