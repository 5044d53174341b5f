"""Certificates are rotated while clients work: the leaf in one `up`, the CA in three, and nobody sees more of it."""

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
from tests.e2e.lab import SOAK, Lab, Project, Registry, eventually, of_secret
from tests.e2e.load import Seen, failed, under_load
from tests.e2e.test_workload import pods, uid

pytestmark = pytest.mark.e2e

ROTATIONS, REPLACEMENTS = (20, 5) if SOAK else (4, 3)
LONGEST_GAP = 3.0 if SOAK else 10.0
"""Seconds that a replaced bare Pod may be away, in the median. Beside other labs it shares the machine with them."""

CLIENTS = {"kept": 2, "fresh": 2, "pushing": 1}

DEPLOYED: dict[str, Any] = {
    **{"workload": "deployment", "namespace": "renewed", "storage_path": "/var/lib/renewed"},
    **{"exposure": "node-port", "node_port": 30541},
}
BARE: dict[str, Any] = {
    **{"namespace": "bare", "storage_path": "/var/lib/bare"},
    **{"exposure": "node-port", "node_port": 30542},
}


def leaf(lab: Lab, namespace: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(of_secret(lab, namespace, "cert-secret")["tls.crt"].encode())


def uids(lab: Lab, namespace: str) -> list[str]:
    """What identifies the Pods that stay."""
    return [uid(each) for each in pods(lab, namespace)]


def test_twenty_new_leaves_fail_no_request(
    lab: Lab, registry: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    served = registry("renewed", **DEPLOYED)
    digest = served.push("kept/layer")
    serials = [leaf(lab, "renewed").serial_number]
    began = time.monotonic()
    with under_load(served, f"/v2/kept/layer/blobs/{digest}", CLIENTS) as seen:
        for rotation in range(ROTATIONS):
            registry("renewed", certificate_days=300 + rotation, **DEPLOYED)
            serials.append(leaf(lab, "renewed").serial_number)
    requests, pushes = sum(each["requests"] for each in seen.values()), seen["pushing"]["pushes"]
    figures(f"{ROTATIONS} new leaves in {time.monotonic() - began:.0f} s: {shown(seen)}")
    assert failed(seen) == []
    assert len(set(serials)) == ROTATIONS + 1
    assert len(seen["fresh"]["leaves"]) == ROTATIONS + 1, "and the clients were shown each of them"
    assert requests >= 100 * ROTATIONS
    assert pushes >= 2 * ROTATIONS


def shown(seen: Seen) -> str:
    """The figures, a kind of clients each."""
    each = [
        f"{kind} {of['requests']} requests, {len(of['failed'])} failed, {of['reopened']} reopened, "
        f"longest gap {of['gap']:.2f} s" + (f", {of['pushes']} pushes" if of["pushes"] else "")
        for kind, of in seen.items()
    ]
    return "; ".join(each)


def test_a_bare_pod_is_away_for_a_moment(
    lab: Lab, registry: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    served = registry("bare", **BARE)
    digest = served.push("kept/layer")
    gaps = []
    for rotation in range(REPLACEMENTS):
        with under_load(served, f"/v2/kept/layer/blobs/{digest}", {"fresh": 1}, pause=0.05, patience=0.5) as seen:
            registry("bare", certificate_days=300 + rotation, **BARE)
            eventually(20, "the new Pod is reached", lambda: served.status("/v2/") == 200)
        assert len(seen["fresh"]["leaves"]) == 2
        gaps.append(seen["fresh"]["gap"])
    figures(f"a bare Pod is away for {', '.join(f'{gap:.2f}' for gap in sorted(gaps))} s")
    assert sorted(gaps)[len(gaps) // 2] <= LONGEST_GAP


def test_through_a_rotation_of_the_ca_the_clients_of_the_step_before_get_on(
    lab: Lab, registry: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    first = before = registry("renewed", **DEPLOYED)
    digest = first.push("kept/layer")
    path, signers = f"/v2/kept/layer/blobs/{digest}", []
    for step, listed in enumerate(([1, 2], [2, 1], [2]), start=1):
        with under_load(before, path, CLIENTS) as seen:
            now = registry("renewed", ca_generations=listed, **DEPLOYED)
        figures(f"step {step}: {shown(seen)}")
        assert failed(seen) == []
        assert before.status(path) == now.status(path) == 200
        signers.append(leaf(lab, "renewed").issuer.rfc4514_string())
        alone = first.curl(path)
        assert alone.returncode == (0 if step == 1 else 60), "with the first CA alone, curl's word for a wrong issuer"
        now.project.up("--expect-no-changes")
        before = now
    assert signers == ["CN=docker-registry CA", "CN=docker-registry CA 2", "CN=docker-registry CA 2"]


def test_a_refused_jump_changes_nothing_and_a_step_is_told(lab: Lab, registry: Callable[..., Registry]) -> None:
    project = registry("bare", **BARE).project
    was = (leaf(lab, "bare").serial_number, uids(lab, "bare"))
    for jump in ([2, 1], [2]):
        project.configure(ca_generations=jump, **BARE)
        for command in ("preview", "up"):
            told = project.refused(command)
            assert "`ca_generations` to [1, 2] and run `pulumi up`" in told
        assert (leaf(lab, "bare").serial_number, uids(lab, "bare")) == was
    project.configure(ca_generations=[1, 2], **BARE)
    preview = project.run("preview")
    assert "CA rotation, step 1 of 3" in preview.stdout + preview.stderr
    assert "registry-workload-pod" not in preview.stdout, "it does not notice"
    outputs = registry("bare", ca_generations=[1, 2], **BARE).outputs
    assert len(x509.load_pem_x509_certificates(outputs["ca_pem"].encode())) == 2
    assert (leaf(lab, "bare").serial_number, uids(lab, "bare")) == was
    project.configure(**BARE)
    assert "`ca_generations` is [1], which is a step back." in project.refused()


def test_a_step_cut_off_halfway_is_not_taken_and_goes_on_when_repeated(
    lab: Lab, registry: Callable[..., Registry]
) -> None:
    project = registry("bare", **BARE).project
    for cut_off in ([1, 2], [2, 1]):
        serial = leaf(lab, "bare").serial_number
        project.configure(ca_generations=cut_off, **BARE)
        with killed_at_the_end(project) as up:
            if cut_off == [1, 2]:
                eventually(30, "the other CA is made", lambda: "registry-tls-ca-2" in up.read_text())
            else:
                eventually(30, "the leaf is another", partial(has_another_leaf, lab, serial))
        recovered(project)
        project.configure(ca_generations=generations_at(step_of(cut_off) + 1), **BARE)
        assert f"`ca_generations` to {cut_off} and run `pulumi up`" in project.refused()
        project.configure(ca_generations=cut_off, **BARE)
        project.pulumi("up", "--yes", "--skip-preview", "--refresh")
        project.up("--expect-no-changes")
    served = registry("bare", ca_generations=[2], **BARE)
    assert served.status("/v2/") == 200
    assert leaf(lab, "bare").issuer.rfc4514_string() == "CN=docker-registry CA 2"


def has_another_leaf(lab: Lab, serial: int) -> bool:
    """Looked up by a list: in between, there is no Secret."""
    listed = lab.api.objects("secrets", "bare")
    texts = [b64decode(each["data"]["tls.crt"]) for each in listed if each["metadata"]["name"] == "cert-secret"]
    return any(x509.load_pem_x509_certificate(text).serial_number != serial for text in texts)


@contextmanager
def killed_at_the_end(project: Project) -> Iterator[Path]:
    """An `up` that is killed with all its processes at the end of the block; the file that it tells its steps in."""
    log = project.folder / "up.log"
    arguments = ("--cwd", str(project.folder), "up", "--yes", "--skip-preview", "--stack", project.folder.name)
    place = project.lab.place
    with log.open("wb") as file:
        command = place.command("pulumi", "--non-interactive", *arguments)
        up = subprocess.Popen(command, env=place.env, stdout=file, stderr=file, start_new_session=True)
    try:
        yield log
        assert up.poll() is None, f"it was through: {log.read_text()}"
    finally:
        os.killpg(up.pid, signal.SIGKILL)
        up.wait()


def recovered(project: Project) -> None:
    """By `ops recover`, beside the project's own program."""
    (project.folder / "ops").unlink(missing_ok=True)
    (project.folder / "ops").symlink_to(PROJECT / "ops")
    ops = (sys.executable, "-m", "ops", "recover", "--stack", project.folder.name)
    done = project.lab.place.run("env", "--chdir", str(project.folder), *ops, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    project.lab.pulumi("--cwd", str(project.folder), "cancel", "--yes", "--stack", project.folder.name, check=False)
