"""Put a fault into a registry, read `ops status` and `ops verify`, and type the remedy. Then both report no problem.

Only a real disk, kubelet, S3 server and engine show the text of a fault, and that the commands help.
"""

import json
import secrets
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
    fill_disk,
    find_commands,
    patch_secret,
    quick_jobs,
    remove_ballast,
    run_on_node,
    serve_certificate_of_another_ca,
    small_disk,
    type_commands,
    unfinished_manifests,
    use_inodes,
)
from tests.e2e.kube_api import Object
from tests.e2e.lab import ADDRESS, NAMESPACE, SOAK, STORAGE_PATH, Lab, Registry, eventually, marked_block, read_secret
from tests.e2e.s3 import S3

pytestmark = [pytest.mark.e2e, pytest.mark.drill, pytest.mark.together]

NAME = "faulty"
"""Name of the stack and its namespace."""

FOLDER = f"/var/lib/{NAME}"
"""Folder of the images on the node, a small disk."""

INODES = 1000
"""Number of inodes of the small disk, so few that a test can use them all."""

SETTINGS: dict[str, Any] = {
    "namespace": NAME,
    "port": 5065,
    "exposure": "external-ips",
    "external_ips": [ADDRESS],
    "storage": "host-path",
    "storage_path": FOLDER,
    "workload": "deployment",
    "limits": {"memory": "64Mi"},
    "requests": {"memory": "32Mi"},
    "collect": {"schedule": "30 2 * * *"},
}

BLOB = ("kept/image", "a layer that stays")
"""Repository and content of a blob that must exist after each fault."""


class Fault(NamedTuple):
    """A fault with its expected reports by `ops`.

    Attributes:
        cause: Function that causes the fault until the block ends.
        rows: Rows of `ops status` that have a remedy, with words of their text.
        failure: Words of the failed check of `ops verify`, or "" if all checks pass.
        remedy_row: Row whose remedy is typed.
        needs_drift: Whether `ops status` has to compare the cluster with the state, which takes some seconds.
        max_commands: Number of commands of the remedy to type. The remaining commands are for another case.
    """

    cause: Callable[[Registry], AbstractContextManager[None]]
    rows: Mapping[str, str]
    failure: str
    remedy_row: str
    needs_drift: bool = False
    max_commands: int | None = None


def full_disk(fill: Callable[[Lab, str], None]) -> Callable[[Registry], AbstractContextManager[None]]:
    """Return a function that stores blobs that no image needs, and then fills the rest of the disk with `fill`."""

    @contextmanager
    def cause(registry: Registry) -> Iterator[None]:
        lab = registry.project.lab
        add_garbage(lab, FOLDER)
        with quick_jobs(lab, NAME):
            fill(lab, FOLDER)
            try:
                yield
            finally:
                remove_ballast(lab, FOLDER)

    return cause


@contextmanager
def read_only_disk(registry: Registry) -> Iterator[None]:
    run_on_node(registry.project.lab, f"mount -o remount,ro {FOLDER}")
    yield


@contextmanager
def folder_of_another_user(registry: Registry) -> Iterator[None]:
    run_on_node(registry.project.lab, f"chown -R 1000 {FOLDER}; chmod -R go-rwx {FOLDER}")
    yield


@contextmanager
def out_of_memory(registry: Registry) -> Iterator[None]:
    with unfinished_manifests(registry):
        eventually(60, "the container has restarted", lambda: has_restarted(registry.project.lab))
    registry.project.lab.wait_for_kube_proxies()
    yield


def read_pod(lab: Lab) -> Object:
    """Return the only Pod of the registry that is not being deleted."""
    pods = lab.api.objects("pods", NAME, labels=f"app.kubernetes.io/name={NAMESPACE}")
    (pod,) = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    return pod


def has_restarted(lab: Lab) -> bool:
    """Return whether the container has restarted and is ready."""
    (status,) = read_pod(lab)["status"]["containerStatuses"]
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
    new_config = json.dumps(config | {"log": {"level": "debug"}})
    patch_secret(lab, NAME, "configuration-secret", {"config.yml": new_config})
    yield


@contextmanager
def certificate_of_another_ca(registry: Registry) -> Iterator[None]:
    lab = registry.project.lab
    serve_certificate_of_another_ca(lab, NAME)
    eventually(30, "the container has restarted", lambda: has_restarted(lab))
    lab.wait_for_kube_proxies()
    yield


@contextmanager
def edited_limits(registry: Registry) -> Iterator[None]:
    lab = registry.project.lab
    lab.kubectl("--namespace", NAME, "set", "resources", f"deploy/{NAMESPACE}", "--limits=memory=96Mi")
    lab.kubectl("--namespace", NAME, "rollout", "status", f"deploy/{NAMESPACE}")
    lab.wait_for_kube_proxies()
    yield


@contextmanager
def suspended_job(registry: Registry) -> Iterator[None]:
    patch = ("patch", "cronjob", "docker-registry-collect", "--patch", '{"spec":{"suspend":true}}')
    registry.project.lab.kubectl("--namespace", NAME, *patch)
    yield


FULL = {"push": "no space left", "space": "no space left"}
"""Rows of `ops status` for a full disk."""

FAULTS = {
    "last byte": Fault(full_disk(fill_disk), FULL, "no space left", "space"),
    "last inode": Fault(
        full_disk(use_inodes), {"push": "no inodes left", "space": "no inodes left"}, "no inodes left", "space"
    ),
    "read-only": Fault(read_only_disk, {"push": "is read-only", "space": "is read-only"}, "is read-only", "space"),
    "another user": Fault(folder_of_another_user, {"push": "another user than 0"}, "another user than 0", "push"),
    "volume": Fault(deleted_volume, {"volume": "Terminating"}, "", "volume"),
    "configuration": Fault(
        edited_configuration, {"secrets": "configuration-secret has changed"}, "", "secrets", max_commands=1
    ),
    "certificate": Fault(certificate_of_another_ca, {"leaf": "do not trust", "push": "x509"}, "x509", "leaf"),
    "limits": Fault(edited_limits, {"drift": "conflict"}, "", "drift", needs_drift=True),
    "suspended": Fault(suspended_job, {"collect": "suspended"}, "", "collect"),
    "memory": Fault(out_of_memory, {"restarts": "OOMKilled, exit code 137, limit 64Mi"}, "", "restarts"),
}
"""Faults of a registry with a folder. The remedy of the last fault changes the config of the stack."""

FULL_DISK_FAULTS = ("last byte", "last inode")
"""Faults for whose remedy docs/maintenance.md has the command."""


@pytest.fixture(scope="module")
def faulty(lab: Lab, deploy_for_module: Callable[..., Registry]) -> Iterator[Registry]:
    """Yield a registry on a small disk with a blob. A collection has run, which keeps a reserve for a full disk."""
    with small_disk(lab, FOLDER, "40m", INODES):
        registry = deploy_for_module(NAME, **SETTINGS)
        registry.push(*BLOB)
        done = registry.ops("collect", connects=False)
        assert done.returncode == 0, done.stdout + done.stderr
        yield registry
        # The Pod must stop before the disk is unmounted.
        registry.project.pulumi("destroy", "--yes", "--skip-preview")


def read_status(registry: Registry, *arguments: str) -> dict[str, Any]:
    """Return the report of `ops status`, which must not contain the password."""
    done = registry.ops("status", "--json", *arguments)
    report = dict(json.loads(done.stdout or "{}"))
    assert done.returncode == (0 if report.get("healthy") else 1), done.stdout + done.stderr
    assert registry.outputs["password"] not in done.stdout + done.stderr
    return report


def rows_with_remedy(report: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each row of `ops status` that has a remedy."""
    return {key: row["seen"] for key, row in report.items() if isinstance(row, dict) and row["remedy"]}


def read_failure(registry: Registry) -> str:
    """Return the text and the remedy of the failed check of `ops verify`, or "" if all checks pass."""
    done = registry.ops("verify", "--json")
    failed = [check for check in json.loads(done.stdout)["checks"] if not check["passed"]]
    assert done.returncode == (1 if failed else 0), done.stdout + done.stderr
    assert all(check["remedy"] for check in failed)
    return f"{failed[0]['seen']} {failed[0]['remedy']}" if failed else ""


def read_both(registry: Registry, *arguments: str) -> tuple[dict[str, Any], str]:
    """Return the results of `read_status` and `read_failure`, which run at the same time."""
    with ThreadPoolExecutor() as executor:
        report = executor.submit(read_status, registry, *arguments)
        return report.result(), read_failure(registry)


def is_healthy(registry: Registry, *arguments: str) -> bool:
    """Return whether `ops status` and `ops verify` report no problem."""
    report, failure = read_both(registry, *arguments)
    return not rows_with_remedy(report) and not failure


def uid_and_restarts(lab: Lab) -> tuple[str, int]:
    """Return the UID of the Pod, and the number of restarts of its container."""
    pod = read_pod(lab)
    return pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]


@pytest.mark.parametrize("name", FAULTS)
def test_ops_reports_a_fault_and_its_remedy_helps(
    faulty: Registry, lab: Lab, name: str, figures: Callable[[str], None]
) -> None:
    """Only a real fault has the text of the disk or the kubelet, and shows whether the typed commands end it."""
    fault = FAULTS[name]
    options = () if fault.needs_drift else ("--no-drift",)
    digest = faulty.push(*BLOB)
    pod_before = uid_and_restarts(lab)
    with fault.cause(faulty):
        report, failure = read_both(faulty, *options)
        rows = rows_with_remedy(report)
        figures(f"{name}: {rows}; verify: {failure or 'passes'}")
        assert rows.keys() == fault.rows.keys()
        assert all(words in rows[key] for key, words in fault.rows.items())
        assert fault.failure in failure
        assert bool(failure) == bool(fault.failure)
        commands = find_commands(report[fault.remedy_row]["remedy"])[: fault.max_commands]
        if name in FULL_DISK_FAULTS:
            assert commands == marked_block("full-disk", "sh", "docs/maintenance.md").splitlines()
        type_commands(faulty, commands)
        eventually(120, "status and verify report no problem", lambda: is_healthy(faulty, *options), pause=1)
    assert faulty.has(BLOB[0], digest)
    if name in (*FULL_DISK_FAULTS, "read-only", "another user"):
        assert uid_and_restarts(lab) == pod_before, "the Pod was neither replaced nor restarted"


def test_a_full_or_read_only_disk_allows_pulls_and_refuses_pushes_with_the_reason(faulty: Registry, lab: Lab) -> None:
    """Only a registry on a real disk returns the error of the disk to a client."""
    digest = faulty.push(*BLOB)
    upload = (f"/v2/{BLOB[0]}/blobs/uploads/", "--request", "POST", "--data", "")
    for cause, words in ((full_disk(fill_disk), "no space left on device"), (read_only_disk, "read-only file system")):
        with cause(faulty):
            assert faulty.has(BLOB[0], digest)
            assert faulty.status("/v2/") == 200
            response = faulty.curl(*upload).stdout
            assert words in response, response
        run_on_node(lab, f"mount -o remount,rw {FOLDER}")
    assert faulty.status(*upload) == 202


def test_the_commands_of_the_page_free_a_full_disk_without_a_reserve(faulty: Registry, lab: Lab) -> None:
    """Only a real disk shows whether the typed commands free enough inodes."""
    run_on_node(lab, f"rm -r {FOLDER}/private-registry/reserve")
    path = faulty.start_upload("cut")
    patch = ("--request", "PATCH", "--data-binary", "x" * 100_000, "--header", "Content-Type: application/octet-stream")
    assert faulty.status(path, *patch) == 202
    with full_disk(use_inodes)(faulty):
        if SOAK:  # Kubernetes tries the job three times, in 40 seconds
            refused = faulty.ops("collect", connects=False)
            assert refused.returncode == 2, refused.stdout + refused.stderr
            assert "No space left on device" in refused.stderr
        block = marked_block("no-reserve", "sh", "docs/maintenance.md")
        assert STORAGE_PATH in block
        run_on_node(lab, block.replace(STORAGE_PATH, FOLDER))
        type_commands(faulty, marked_block("full-disk", "sh", "docs/maintenance.md").splitlines())
        assert is_healthy(faulty, "--no-drift")
    assert run_on_node(lab, f"ls {FOLDER}/private-registry/reserve")


def test_min_free_refuses_pushes_before_the_disk_is_full(
    faulty: Registry, lab: Lab, deploy_for_module: Callable[..., Registry]
) -> None:
    """Only a real disk fills up, and only the proxy's script in the Pod measures its free space."""
    registry = deploy_for_module(NAME, min_free=25, **SETTINGS)
    digest = registry.push(*BLOB)
    assert rows_with_remedy(read_status(registry, "--no-drift")) == {}
    with full_disk(fill_partly)(registry):
        upload = (f"/v2/{BLOB[0]}/blobs/uploads/", "--request", "POST", "--data", "")
        eventually(20, "a push is refused", lambda: registry.status(*upload) == 507)
        assert "nearly full" in registry.curl(*upload).stdout
        assert registry.has(BLOB[0], digest)
        report = read_status(registry, "--no-drift")
        assert "`min_free`" in rows_with_remedy(report)["push"]
        assert "`min_free`" in read_failure(registry)
        type_commands(registry, find_commands(report["push"]["remedy"]))
        eventually(120, "status and verify report no problem", lambda: is_healthy(registry, "--no-drift"), pause=1)


def fill_partly(lab: Lab, folder: str) -> None:
    """Leave less than a quarter of the disk, but enough for a push."""
    run_on_node(lab, f"fallocate -l 24M {folder}/ballast")


def test_ops_reports_the_faults_of_an_object_store(
    lab: Lab, s3: S3, deploy_for_module: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    """Only a real S3 server shows how the registry reports its faults."""
    settings = {
        "namespace": "stored",
        "port": 5066,
        "exposure": "external-ips",
        "external_ips": [ADDRESS],
        "workload": "deployment",
        "storage": "s3",
        "s3_bucket": s3.bucket,
        "s3_endpoint": s3.endpoint,
        "s3_prefix": "faults",
        "s3_access_key": s3.access_key,
        "upstream_ca": s3.ca_pem,
    }
    registry = deploy_for_module("stored", {"s3_secret_key": s3.secret_key}, **settings)
    digest = registry.push(*BLOB)
    assert rows_with_remedy(read_status(registry)) == {}
    unfinished_uploads = [
        path for path in (s3.folder / "faults").rglob("*") if "_uploads" in path.parts and path.is_file()
    ]
    assert not unfinished_uploads, "a check leaves no upload behind"

    def expect_report(words: str, remedy: str) -> None:
        def has_words() -> bool:
            row = read_status(registry, "--no-drift")["servers"]
            return words in row["seen"] and remedy in row["remedy"]

        eventually(60, f"status reports {words}", has_words, pause=1)
        failure = read_failure(registry)
        figures(f"s3: {failure}")
        assert words in failure
        assert remedy in failure

    s3_server.stop(lab.cluster)
    with restored(lambda: s3_server.start(lab.cluster, s3)):
        expect_report("no program listens", "Start the server")
    eventually(90, "status and verify report no problem", lambda: is_healthy(registry, "--no-drift"), pause=1)

    moved_bucket = s3.folder.with_name("moved")
    s3.folder.rename(moved_bucket)
    with restored(lambda: moved_bucket.rename(s3.folder)):
        expect_report("The bucket does not exist", "Create the bucket")
    eventually(90, "status and verify report no problem", lambda: is_healthy(registry, "--no-drift"), pause=1)

    s3_with_other_key = replace(s3, secret_key=secrets.token_hex(20))
    restart(lab, s3_with_other_key)
    with restored(partial(restart, lab, s3)):
        expect_report("refused the login", "`s3_secret_key`")
        deploy_for_module("stored", {"s3_secret_key": s3_with_other_key.secret_key}, **settings)
        eventually(90, "status and verify report no problem", lambda: is_healthy(registry, "--no-drift"), pause=1)
        assert registry.has(BLOB[0], digest)


def restart(lab: Lab, s3: S3) -> None:
    """Start the server again, with the keys of `s3`."""
    s3_server.stop(lab.cluster)
    s3_server.start(lab.cluster, s3)


@contextmanager
def restored(restore: Callable[[], object]) -> Iterator[None]:
    """Call `restore` when the block ends, even if it raises an exception."""
    try:
        yield
    finally:
        restore()
