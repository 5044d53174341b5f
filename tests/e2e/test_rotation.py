"""Rotate certificates while clients send requests: the server certificate in one `up`, the CA in three.

No offline test can show this: only requests of real clients can fail, and only a real kubelet replaces Pods.
"""

import os
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from dev.environment import PROJECT
from registry.validation.rotation import generations_at, step_of
from tests.e2e.lab import SOAK, Lab, Project, Registry, eventually, read_secret
from tests.e2e.load import Results, all_failures, under_load
from tests.e2e.test_workload import pods, uid

pytestmark = [pytest.mark.e2e, pytest.mark.drill]

ROTATIONS, REPLACEMENTS = (20, 5) if SOAK else (4, 3)
"""Numbers of new certificates for the Deployment and for the bare Pod."""

LONGEST_MEDIAN_GAP = 10.0
"""Maximum seconds without a bare Pod while it is replaced, as the median of the replacements.

It takes 2 to 4 seconds, and longer while several labs share the machine.
"""

UNTRUSTED_CERTIFICATE = 60
"""Exit code of curl if it does not trust the server certificate."""

CLIENTS = {"persistent": 2, "reconnecting": 2, "pushing": 1}
"""Number of clients by kind (`load_clients.py`)."""

DEPLOYMENT: dict[str, Any] = {
    "workload": "deployment",
    "namespace": "renewed",
    "storage_path": "/var/lib/renewed",
    "exposure": "node-port",
    "node_port": 30541,
}
BARE_POD: dict[str, Any] = {
    "namespace": "bare",
    "storage_path": "/var/lib/bare",
    "exposure": "node-port",
    "node_port": 30542,
}


def certificate(lab: Lab, namespace: str) -> x509.Certificate:
    """Return the server certificate in the Secret."""
    return x509.load_pem_x509_certificate(read_secret(lab, namespace, "cert-secret")["tls.crt"].encode())


def uids(lab: Lab, namespace: str) -> list[str]:
    """Return the UIDs of the Pods that are not being deleted."""
    return [uid(pod) for pod in pods(lab, namespace)]


def test_no_request_fails_while_certificates_are_replaced(
    lab: Lab, deploy_registry: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    registry = deploy_registry("renewed", **DEPLOYMENT)
    digest = registry.push("kept/layer")
    serials = [certificate(lab, "renewed").serial_number]
    start = time.monotonic()
    with under_load(registry, f"/v2/kept/layer/blobs/{digest}", CLIENTS) as results:
        for rotation in range(ROTATIONS):
            deploy_registry("renewed", certificate_days=300 + rotation, **DEPLOYMENT)
            serials.append(certificate(lab, "renewed").serial_number)
    requests = sum(of_kind["requests"] for of_kind in results.values())
    pushes = results["pushing"]["pushes"]
    figures(f"{ROTATIONS} new certificates in {time.monotonic() - start:.0f} s: {format_results(results)}")
    assert all_failures(results) == []
    assert len(set(serials)) == ROTATIONS + 1
    assert len(results["reconnecting"]["certificates"]) == ROTATIONS + 1, "clients received every certificate"
    assert requests >= 100 * ROTATIONS, "the clients ran during every rotation"
    assert pushes >= 2 * ROTATIONS, "the clients ran during every rotation"


def format_results(results: Results) -> str:
    """Return the figures for each kind of clients."""
    return "; ".join(
        f"{kind} {fields['requests']} requests, {len(fields['failures'])} failed, {fields['reopened']} reopened, "
        f"longest gap {fields['longest_gap']:.2f} s" + (f", {fields['pushes']} pushes" if fields["pushes"] else "")
        for kind, fields in results.items()
    )


def test_a_replaced_bare_pod_is_unavailable_only_for_seconds(
    lab: Lab, deploy_registry: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    registry = deploy_registry("bare", **BARE_POD)
    digest = registry.push("kept/layer")
    gaps = []
    for rotation in range(REPLACEMENTS):
        with under_load(
            registry, f"/v2/kept/layer/blobs/{digest}", {"reconnecting": 1}, pause=0.05, timeout=0.5
        ) as results:
            deploy_registry("bare", certificate_days=300 + rotation, **BARE_POD)
            eventually(20, "the new Pod responds", lambda: registry.status("/v2/") == 200)
        assert len(results["reconnecting"]["certificates"]) == 2, "clients received the old certificate and the new one"
        gaps.append(results["reconnecting"]["longest_gap"])
    figures(f"a bare Pod is unavailable for {', '.join(f'{gap:.2f}' for gap in sorted(gaps))} s")
    assert sorted(gaps)[len(gaps) // 2] <= LONGEST_MEDIAN_GAP


def test_no_request_with_the_previous_ca_bundle_fails_during_a_ca_rotation(
    lab: Lab, deploy_registry: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    first = before = deploy_registry("renewed", **DEPLOYMENT)
    path = f"/v2/kept/layer/blobs/{first.push('kept/layer')}"
    issuers = []
    for step, generations in enumerate(([1, 2], [2, 1], [2]), start=1):
        with under_load(before, path, CLIENTS) as results:
            current = deploy_registry("renewed", ca_generations=generations, **DEPLOYMENT)
        figures(f"step {step}: {format_results(results)}")
        assert all_failures(results) == []
        assert before.status(path) == current.status(path) == 200
        issuers.append(certificate(lab, "renewed").issuer.rfc4514_string())
        with_first_ca = first.curl(path)
        assert with_first_ca.returncode == (0 if step == 1 else UNTRUSTED_CERTIFICATE)
        current.project.up("--expect-no-changes")
        before = current
    assert issuers == ["CN=docker-registry CA", "CN=docker-registry CA 2", "CN=docker-registry CA 2"]


def test_a_skipped_rotation_step_is_refused_and_changes_nothing(
    lab: Lab, deploy_registry: Callable[..., Registry]
) -> None:
    project = deploy_registry("bare", **BARE_POD).project
    serial_and_uids = (certificate(lab, "bare").serial_number, uids(lab, "bare"))
    for generations in ([2, 1], [2]):
        project.configure(ca_generations=generations, **BARE_POD)
        for command in ("preview", "up"):
            output = project.expect_refusal(command)
            assert "`ca_generations` to [1, 2] and run `pulumi up`" in output
        assert (certificate(lab, "bare").serial_number, uids(lab, "bare")) == serial_and_uids
    project.configure(ca_generations=[1, 2], **BARE_POD)
    preview = project.run("preview")
    assert "CA rotation, step 1 of 3" in preview.stdout + preview.stderr
    assert "registry-workload-pod" not in preview.stdout, "the Pod is unchanged"
    outputs = deploy_registry("bare", ca_generations=[1, 2], **BARE_POD).outputs
    assert len(x509.load_pem_x509_certificates(outputs["ca_pem"].encode())) == 2
    assert (certificate(lab, "bare").serial_number, uids(lab, "bare")) == serial_and_uids
    project.configure(**BARE_POD)
    assert "`ca_generations` is [1], which is a step back." in project.expect_refusal()


def test_an_interrupted_rotation_step_must_be_repeated_and_then_completes(
    lab: Lab, deploy_registry: Callable[..., Registry]
) -> None:
    project = deploy_registry("bare", **BARE_POD).project
    for generations in ([1, 2], [2, 1]):
        serial = certificate(lab, "bare").serial_number
        project.configure(ca_generations=generations, **BARE_POD)
        with killed_up(project) as up:
            if generations == [1, 2]:
                eventually(30, "the second CA is created", lambda: "registry-tls-ca-2" in up.read_text())
            else:
                eventually(30, "the Secret has a new certificate", partial(has_new_certificate, lab, serial))
        run_recover(project)
        project.configure(ca_generations=generations_at(step_of(generations) + 1), **BARE_POD)
        assert f"`ca_generations` to {generations} and run `pulumi up`" in project.expect_refusal()
        project.configure(ca_generations=generations, **BARE_POD)
        project.pulumi("up", "--yes", "--skip-preview", "--refresh")
        project.up("--expect-no-changes")
    registry = deploy_registry("bare", ca_generations=[2], **BARE_POD)
    assert registry.status("/v2/") == 200
    assert certificate(lab, "bare").issuer.rfc4514_string() == "CN=docker-registry CA 2"


def has_new_certificate(lab: Lab, serial: int) -> bool:
    """Return whether the Secret has a new certificate. List it, because it does not exist while it is replaced."""
    secrets = lab.api.objects("secrets", "bare")
    chains = [b64decode(each["data"]["tls.crt"]) for each in secrets if each["metadata"]["name"] == "cert-secret"]
    return any(x509.load_pem_x509_certificate(chain).serial_number != serial for chain in chains)


@contextmanager
def killed_up(project: Project) -> Iterator[Path]:
    """Run an `up`, and kill it with all its processes at the end of the block. Yield the file with its output."""
    log = project.folder / "up.log"
    arguments = ("--cwd", str(project.folder), "up", "--yes", "--skip-preview", "--stack", project.folder.name)
    environment = project.lab.environment
    with log.open("wb") as file:
        command = environment.command("pulumi", "--non-interactive", *arguments)
        up = subprocess.Popen(command, env=environment.env, stdout=file, stderr=file, start_new_session=True)
    try:
        yield log
        assert up.poll() is None, f"the update still runs: {log.read_text()}"
    finally:
        os.killpg(up.pid, signal.SIGKILL)
        up.wait()


def run_recover(project: Project) -> None:
    """Run `ops recover` in the folder of the program, and cancel the interrupted update."""
    (project.folder / "ops").unlink(missing_ok=True)
    (project.folder / "ops").symlink_to(PROJECT / "ops")
    ops = (sys.executable, "-m", "ops", "recover", "--stack", project.folder.name)
    done = project.lab.environment.run("env", "--chdir", str(project.folder), *ops, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    project.lab.pulumi("--cwd", str(project.folder), "cancel", "--yes", "--stack", project.folder.name, check=False)
