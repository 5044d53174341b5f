"""`ops status`: the verdicts, and the values that are read from a fake registry and a fake API server."""

import json
import socket
import sys
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests
from cryptography.hazmat.primitives.hashes import SHA256
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic.exceptions import ForbiddenError, NotFoundError
from typer.testing import CliRunner

from ops import __main__ as command_line
from ops import kubernetes, pod_diagnosis, stack, verify, volume
from ops.errors import CheckError, ClusterError, CommandError, PulumiError
from ops.stack import Outputs
from ops.status import certificates, drift, mounted_secrets, push, target, verdicts, workload
from ops.status.facts import (
    CertificateAuthority,
    NodeTrust,
    PushState,
    SecretState,
    ServerCertificate,
    StackSettings,
    TerminatedContainer,
    VolumeState,
)
from ops.volume import DiskSpace
from registry.tls.authority import RotationHint, rotation_hint
from tests.issuing import CertificateSpec, IssuedCertificate, issue, server_spec
from tests.ops import test_verify
from tests.ops.test_verify import PASSWORD, Registry

registry, outputs = test_verify.registry, test_verify.outputs

GENERATED = StackSettings(renew_before_days=30, ca_generations=[1])
ONE, TWO = CertificateAuthority("docker-registry CA", 1, 3650), CertificateAuthority("docker-registry CA 2", 2, 3650)
CUSTOM = CertificateAuthority("Corporate Root", None, 3650)


@pytest.mark.parametrize(
    ("days", "settings", "remedy"),
    [
        (356.0, GENERATED, ""),
        (30.01, GENERATED, ""),
        (30.0, GENERATED, "`pulumi up`"),
        (-3.0, GENERATED, "`pulumi up`"),
        (20.0, StackSettings(renew_before_days=5), "last 5 days (`renew_before_days`)"),
        (5.0, StackSettings(renew_before_days=5), "`pulumi up`, which"),
        (20.0, StackSettings(), "`pulumi up`, which"),
        (20.0, StackSettings(tls_secret="custom"), "serves it within two minutes"),
        (20.0, StackSettings(tls_secret="custom", certificate_reload=False), "then run `pulumi up`"),
        (20.0, StackSettings(has_issuer=True), "why cert-manager has not renewed it"),
    ],
)
def test_a_certificate_in_its_last_thirty_days_has_a_remedy(days: float, settings: StackSettings, remedy: str) -> None:
    verdict = verdicts.rate_server_certificate(ServerCertificate(days, "docker-registry CA", True), settings)
    assert remedy in verdict.remedy
    assert bool(verdict.remedy) == bool(remedy)
    assert "docker-registry CA" in verdict.summary


def test_an_expired_certificate_is_reported_with_its_age() -> None:
    verdict = verdicts.rate_server_certificate(ServerCertificate(-3.2, "docker-registry CA", True), GENERATED)
    assert verdict.summary.startswith("expired 3 days ago")


def test_a_certificate_that_clients_do_not_trust_has_a_remedy_whatever_its_days() -> None:
    verdict = verdicts.rate_server_certificate(ServerCertificate(356, "another CA", False), GENERATED)
    assert "do not trust" in verdict.summary
    assert "pulumi up --refresh" in verdict.remedy


@pytest.mark.parametrize(
    ("authorities", "settings", "remedy"),
    [
        ([ONE], GENERATED, ""),
        ([CertificateAuthority("docker-registry CA", 1, 428)], GENERATED, ""),
        ([CertificateAuthority("docker-registry CA", 1, 427)], GENERATED, "`ca_generations` to [1, 2]"),
        ([CertificateAuthority("docker-registry CA", 1, 427)], GENERATED, "the last 397 days"),
        ([CertificateAuthority("docker-registry CA 2", 2, 20)], GENERATED, "`ca_generations` to [2, 3]"),
        ([CertificateAuthority("docker-registry CA", 1, 100), TWO], GENERATED, ""),
        ([CertificateAuthority("docker-registry CA", 1, 30), TWO], GENERATED, "Finish the rotation"),
        ([CUSTOM], StackSettings(has_custom_ca=True), ""),
        ([CertificateAuthority("Corporate Root", None, 31)], StackSettings(has_custom_ca=True), ""),
        ([CertificateAuthority("Corporate Root", None, 30)], StackSettings(has_custom_ca=True), "`ca_certificate`"),
        ([CertificateAuthority("Custom CA", 1, 100)], StackSettings(has_custom_ca=True), ""),
        (
            [CUSTOM, CertificateAuthority("Issuing", None, 2)],
            StackSettings(tls_secret="custom"),
            "the Secret custom (`tls_secret`)",
        ),
        ([CertificateAuthority("Corporate Root", None, 3)], StackSettings(), "another CA"),
    ],
)
def test_a_ca_that_must_be_replaced_within_thirty_days_has_a_remedy(
    authorities: Sequence[CertificateAuthority], settings: StackSettings, remedy: str
) -> None:
    verdict = verdicts.rate_authorities(authorities, settings)
    assert remedy in verdict.remedy
    assert bool(verdict.remedy) == bool(remedy)
    assert all(ca.name in verdict.summary for ca in authorities)


@pytest.mark.parametrize(
    ("signer", "authorities", "configured", "summary", "remedy"),
    [
        (ONE.name, [ONE], [1], "CA 1", ""),
        (TWO.name, [TWO], [2], "CA 2", ""),
        (ONE.name, [ONE, TWO], [1, 2], rotation_hint([1, 2]), "`ca_generations` to [2, 1]"),
        (TWO.name, [ONE, TWO], [2, 1], rotation_hint([2, 1]), "`ca_generations` to [2]"),
        (TWO.name, [ONE, TWO], None, rotation_hint([2, 1]), "`ca_generations` to [2]"),
        (ONE.name, [ONE], [1, 2], "CA 1", "`ca_generations` to [1, 2]"),
        (ONE.name, [ONE, TWO], [2, 1], rotation_hint([1, 2]), "the config sets `ca_generations` to [2, 1]"),
        (CUSTOM.name, [CUSTOM], [1], "not applicable", ""),
        ("another CA", [ONE], [1], "unknown", ""),
    ],
)
def test_an_unfinished_rotation_is_reported_with_its_step_and_the_next_one(
    signer: str,
    authorities: Sequence[CertificateAuthority],
    configured: Sequence[int] | None,
    summary: str | RotationHint,
    remedy: str,
) -> None:
    verdict = verdicts.rate_rotation(signer, authorities, StackSettings(ca_generations=configured))
    assert (summary if isinstance(summary, str) else summary.state) in verdict.summary
    assert remedy in verdict.remedy
    assert bool(verdict.remedy) == bool(remedy)


@pytest.mark.parametrize(
    "settings", [StackSettings(tls_secret="custom"), StackSettings(has_issuer=True), StackSettings(has_custom_ca=True)]
)
def test_a_custom_ca_has_no_rotation_whatever_its_name(settings: StackSettings) -> None:
    assert verdicts.rate_rotation(ONE.name, [ONE, TWO], settings).remedy == ""


@pytest.mark.parametrize(
    ("images", "summary", "advisory"),
    [
        (["registry:3.1.2"], "registry:3.1.2", ""),
        (["registry:2.7"], "registry:2.7", "CVE-2026-35172"),
        (["registry:3.1.1", "registry:3.1.2"], "registry:3.1.1, registry:3.1.2", "CVE-2026-85747"),
    ],
)
def test_an_image_with_an_advisory_has_a_remedy(images: list[str], summary: str, advisory: str) -> None:
    verdict = verdicts.rate_images(images)
    assert verdict.summary == summary
    assert advisory in verdict.remedy
    assert bool(verdict.remedy) == bool(advisory)


GIB = 2**30

ROOMY = DiskSpace(20 * GIB, 15 * GIB, node="worker", folder="/srv/images")


@pytest.mark.parametrize(
    ("space", "summary", "remedy"),
    [
        (DiskSpace(20 * GIB, 2 * GIB), "2.0 of 20.0 GiB (10%)", ""),
        (DiskSpace(20 * GIB, 2 * GIB, 100, 10), "2.0 of 20.0 GiB (10%), 10 of 100 inodes (10%)", ""),
        (DiskSpace(20 * GIB, 20 * GIB - 1), "20.0 of 20.0 GiB (100%)", ""),
        (DiskSpace(40 << 20, 30 << 20), "30.0 of 40.0 MiB (75%)", ""),
        (
            DiskSpace(2000 * 2**20, 199 * 2**20),
            "0.2 of 2.0 GiB (10%). The disk of the images has less than 10% of its space left.",
            "`python -m ops collect`",
        ),
        (
            DiskSpace(20 * GIB, 0, 100, 100),
            "0.0 of 20.0 GiB (0%), 100 of 100 inodes (100%). The disk of the images has no space left.",
            "`python -m ops collect`",
        ),
        (
            DiskSpace(20 * GIB, 15 * GIB, 100, 0),
            "15.0 of 20.0 GiB (75%), 0 of 100 inodes (0%). The disk of the images has no inodes left.",
            "`python -m ops collect`",
        ),
        (
            replace(ROOMY, is_read_only=True, is_writable=False),
            "15.0 of 20.0 GiB (75%). The file system of the images on the node worker is read-only.",
            '`mount -o remount,rw "$(findmnt -n -o TARGET -T /srv/images)"`',
        ),
        (
            DiskSpace(20 * GIB, 15 * GIB, is_read_only=True, is_writable=False),
            "15.0 of 20.0 GiB (75%). The file system of the images is read-only.",
            "mount the volume read-write",
        ),
        (None, "not applicable: the images are in an object store", ""),
    ],
)
def test_a_volume_that_is_almost_full_or_read_only_has_a_remedy(
    space: DiskSpace | None, summary: str, remedy: str
) -> None:
    verdict = verdicts.rate_disk_space(space)
    assert verdict.summary == summary
    assert remedy in verdict.remedy
    assert bool(verdict.remedy) == bool(remedy)


@pytest.mark.parametrize(
    ("state", "summary"),
    [
        (PushState("read-write"), "accepted"),
        (PushState("read-only"), "refused, because `mode` is read-only"),
        (PushState(reason="the stack has no user"), "not checked, because the stack has no user"),
    ],
)
def test_an_answer_to_a_push_needs_no_action(state: PushState, summary: str) -> None:
    assert verdicts.rate_push(state) == (summary, "")


@pytest.mark.parametrize(
    ("state", "summary", "remedy"),
    [
        (None, "not applicable", ""),
        (VolumeState("images", "pv-1", (), True), "images, pv-1", ""),
        (VolumeState("images", "", (), False), "images", ""),
        (VolumeState("images", "pv-1", ("volume pv-1",), True), "Terminating: volume pv-1", "delete pvc images"),
        (VolumeState("images", "pv-1", ("claim images",), False), "Terminating: claim images", "kubectl patch pv pv-1"),
        (VolumeState("images", "", ("claim images",), False), "Terminating: claim images", "ask an administrator"),
    ],
)
def test_a_volume_that_is_being_deleted_has_a_remedy(state: VolumeState | None, summary: str, remedy: str) -> None:
    verdict = verdicts.rate_volume(state, "team")
    assert summary in verdict.summary
    assert remedy in verdict.remedy
    assert bool(verdict.remedy) == bool(remedy)


OOM = TerminatedContainer("docker-registry", "registry", 2, "OOMKilled", 137, 100, "512Mi")


@pytest.mark.parametrize(
    ("ends", "summary", "remedy"),
    [
        ([], "none", ""),
        (
            [OOM],
            "registry in docker-registry: 2 restarts, the last end 100 hours ago (OOMKilled, exit code 137, limit "
            "512Mi)",
            "`pulumi config set --path --type string limits.memory 1024Mi`",
        ),
        ([replace(OOM, name="proxy", memory="1.5Gi", hours=0.5)], "30 minutes ago", "front_limits.memory 3.0Gi`"),
        ([replace(OOM, memory="")], "(OOMKilled, exit code 137)", "The node has too little memory"),
        ([replace(OOM, hours=7 * 24 + 1)], "169 hours ago", ""),
        ([replace(OOM, reason="Error", exit_code=2, hours=23)], "(Error, exit code 2)", "--container registry --prev"),
        ([replace(OOM, reason="Error", hours=25)], "25 hours ago (Error", ""),
        ([replace(OOM, reason="Unknown", exit_code=255, hours=1)], "(Unknown, exit code 255)", ""),
    ],
)
def test_a_container_that_ended_lately_has_a_remedy(
    ends: Sequence[TerminatedContainer], summary: str, remedy: str
) -> None:
    verdict = verdicts.rate_restarts(ends, "team")
    assert summary in verdict.summary
    assert remedy in verdict.remedy
    assert bool(verdict.remedy) == bool(remedy)


def test_a_secret_that_differs_has_a_remedy() -> None:
    same, other = SecretState("cert-secret", ""), SecretState("configuration-secret", "has changed")
    assert verdicts.rate_secrets([], "team") == ("none", "")
    assert verdicts.rate_secrets([same], "team") == ("cert-secret", "")
    verdict = verdicts.rate_secrets([same, other], "team")
    assert verdict.summary == "configuration-secret has changed"
    assert "`pulumi up --refresh`" in verdict.remedy
    assert "`kubectl -n team delete pods --selector app.kubernetes.io/name=docker-registry`" in verdict.remedy


@pytest.mark.parametrize(
    ("nodes", "summary", "has_remedy"),
    [(NodeTrust(2, 2), "2 of 2", False), (NodeTrust(1, 2), "1 of 2", True), (None, "`node_trust`", False)],
)
def test_a_node_without_the_files_has_a_remedy(nodes: NodeTrust | None, summary: str, has_remedy: bool) -> None:
    verdict = verdicts.rate_node_trust(nodes, "team-trust")
    assert summary in verdict.summary
    assert ("-n team-trust" in verdict.remedy) == bool(verdict.remedy) == has_remedy


@pytest.mark.parametrize(
    ("changes", "summary", "has_remedy"),
    [
        ({}, "none", False),
        ({"create": 1, "update": 2}, "1 to create, 2 to update", True),
        (None, "not checked (--no-drift)", False),
    ],
)
def test_changes_of_a_preview_have_a_remedy(changes: Mapping[str, int] | None, summary: str, has_remedy: bool) -> None:
    verdict = verdicts.rate_drift(changes, "mine")
    assert (verdict.summary, "--stack mine" in verdict.remedy) == (summary, has_remedy)


def test_operations_that_change_nothing_are_no_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    summary = {"changeSummary": {"same": 28, "read": 2, "update": 1, "create": 3}}
    monkeypatch.setattr(drift, "pulumi", lambda *_, **__: json.dumps(summary))
    assert drift.preview_changes("dev") == {"create": 3, "update": 1}


def test_a_preview_that_fails_keeps_its_cause_and_names_the_preview(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = PulumiError("`pulumi preview` failed: `port` must be a port: see the docs; stop.", "List the stacks.")

    def fail(*_: str, **__: float) -> str:
        raise failure

    monkeypatch.setattr(drift, "pulumi", fail)
    with pytest.raises(CheckError) as error:
        drift.preview_changes("dev")
    assert error.value.cause == failure.cause
    assert "`pulumi preview --refresh --stack dev`" in error.value.remedy


POD: dict[str, Any] = {
    "metadata": {"name": "docker-registry", "namespace": "team"},
    "spec": {
        "nodeName": "worker",
        "containers": [{"name": "registry", "image": "registry:3.1.2"}, {"name": "proxy", "image": "proxy:1.20"}],
        "volumes": [{"persistentVolumeClaim": {"claimName": "a"}}],
    },
    "status": {"phase": "Running"},
}
SPACE = """\
Filesystem           1024-blocks    Used Available Capacity Mounted on
/dev/vda 1000 400 500 45% /var/lib/registry
Filesystem              Inodes      Used Available Capacity Mounted on
/dev/vda 256 200 56 78% /var/lib/registry
/dev/vda /var/lib/registry ext4 rw,relatime 0 0
0
0 10
0 0 755
0 0 755
"""
"""Output of the script in a Pod. A file system that is read-only has `ro` as an option."""

CLAIM: dict[str, Any] = {"metadata": {"name": "a"}, "spec": {"volumeName": "pv-a"}}
VOLUME: dict[str, Any] = {"metadata": {"name": "pv-a"}, "spec": {"hostPath": {"path": "/srv/images"}}}


def api(*items: dict[str, Any], **by_kind: dict[str, Any] | Exception) -> Any:
    """Return a client of an API server that has these objects in each list, and one object of each kind."""

    def get(kind: str, name: str = "", **_: Any) -> Any:
        if not name:
            return SimpleNamespace(to_dict=lambda: {"items": list(items)})
        item = by_kind.get(kind, NotFoundError(ApiException(status=404)))
        if isinstance(item, Exception):
            raise item
        return SimpleNamespace(to_dict=lambda: item)

    return SimpleNamespace(resources=SimpleNamespace(get=lambda api_version, kind: kind), get=get)


def test_images_are_those_of_running_pods_that_are_not_being_deleted() -> None:
    old = {"containers": [{"name": "registry", "image": "registry:2.7"}]}
    deleted = {**POD, "metadata": {"deletionTimestamp": "2026"}, "spec": old}
    assert workload.read_images(api(POD, POD, deleted), "team") == ["registry:3.1.2"]
    with pytest.raises(CheckError):
        workload.read_images(api(deleted, {**POD, "status": {"phase": "Pending"}}), "team")


WITHOUT_VOLUME = {**POD, "spec": {**POD["spec"], "volumes": [{"secret": {}}]}}

KNOWN = DiskSpace(1000 * 1024, 500 * 1024, 256, 56, node="worker", folder="/srv/images")


@pytest.mark.parametrize(
    ("output", "space"),
    [
        (SPACE, KNOWN),
        (SPACE.replace("256 200 56 78%", "0 0 0 -"), replace(KNOWN, inodes=0, free_inodes=0)),
        (SPACE.replace("256 200 56 78%", "- - - -"), replace(KNOWN, inodes=0, free_inodes=0)),
        (SPACE.replace(" rw,", " ro,"), replace(KNOWN, is_read_only=True)),
        (SPACE.replace("\n0\n", "\n65532\n"), replace(KNOWN, user="65532:0", is_writable=False)),
        (SPACE.replace("\n0\n", "\n65532\n").replace("755", "775"), replace(KNOWN, user="65532:0")),
        (SPACE.replace("\n0 0 755\n0 0 755", "\n1000 10 700"), replace(KNOWN, is_writable=False)),
        (SPACE.replace("0 0 755", "1000 1000 777"), KNOWN),
    ],
)
def test_space_is_read_in_the_pod_if_it_has_a_volume(
    monkeypatch: pytest.MonkeyPatch, output: str, space: DiskSpace
) -> None:
    monkeypatch.setattr(volume, "exec_in_pod", lambda *_: output)
    cluster = api(POD, PersistentVolumeClaim=CLAIM, PersistentVolume=VOLUME)
    assert workload.read_disk_space(cluster, "team") == space
    assert workload.read_disk_space(api(WITHOUT_VOLUME), "team") is None


def test_the_folder_is_unknown_if_the_user_may_not_read_the_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume, "exec_in_pod", lambda *_: SPACE)
    forbidden = ForbiddenError(ApiException(status=403))
    cluster = api(POD, PersistentVolumeClaim=CLAIM, PersistentVolume=forbidden)
    assert workload.read_disk_space(cluster, "team") == replace(KNOWN, folder="")
    assert workload.read_volume(cluster, "team") == VolumeState("a", "", [], False)


def test_an_image_without_df_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume, "exec_in_pod", lambda *_: "exec: df: not found")
    with pytest.raises(CheckError, match="exec: df: not found"):
        workload.read_disk_space(api(POD), "team")


def test_a_claim_and_a_volume_that_are_being_deleted_are_named() -> None:
    deleted = {"deletionTimestamp": "2026"}
    claim = {**CLAIM, "metadata": {"name": "a", **deleted}}
    gone = {**VOLUME, "metadata": {"name": "pv-a", **deleted}}
    healthy = workload.read_volume(api(POD, PersistentVolumeClaim=CLAIM, PersistentVolume=VOLUME), "team")
    assert healthy == VolumeState("a", "pv-a", [], True)
    state = workload.read_volume(api(POD, PersistentVolumeClaim=claim, PersistentVolume=gone), "team")
    assert state == VolumeState("a", "pv-a", ["claim a", "volume pv-a"], True)
    assert workload.read_volume(api(WITHOUT_VOLUME), "team") is None


def ended(name: str, hours: float, reason: str, *, state: str = "lastState") -> dict[str, Any]:
    """Return the status of a container that ended some hours ago."""
    finished = (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    terminated = {"terminated": {"reason": reason, "exitCode": 137, "finishedAt": finished}}
    return {"name": name, "restartCount": 3, "state": {"running": {}}, state: terminated}


def test_the_ends_of_containers_are_read_with_their_limits() -> None:
    limited = {"name": "registry", "resources": {"limits": {"memory": "512Mi"}}}
    pod = {**POD, "spec": {**POD["spec"], "containers": [limited, {"name": "proxy"}, {"name": "mesh"}]}}
    statuses = [ended("registry", 5, "OOMKilled"), ended("proxy", 2, "Error", state="state"), ended("mesh", 1, "Error")]
    ends = workload.read_terminated_containers(api({**pod, "status": {"containerStatuses": statuses}}), "team")
    assert [(end.name, end.reason, end.memory, round(end.hours)) for end in ends] == [
        ("proxy", "Error", "", 2),
        ("registry", "OOMKilled", "512Mi", 5),
    ]
    assert workload.read_terminated_containers(api(POD), "team") == []


STARTED = "2026-11-25T12:00:00Z"


def pod_with_secrets() -> dict[str, Any]:
    """Return a Pod whose registry started at STARTED, and mounts a certificate, a configuration and users."""
    paths = {"cert-secret": "/certs", "configuration-secret": "/etc/distribution", "auth-secret": "/auth"}
    mounts = [{"name": name, "mountPath": path} for name, path in paths.items()]
    containers = [{"name": "registry", "volumeMounts": mounts}, {"name": "mesh", "volumeMounts": mounts[:1]}]
    status = {"name": "registry", "state": {"running": {"startedAt": STARTED}}}
    return {
        "metadata": POD["metadata"],
        "spec": {
            "containers": containers,
            "volumes": [{"name": name, "secret": {"secretName": name}} for name in paths],
        },
        "status": {"phase": "Running", "containerStatuses": [status]},
    }


SERVED = issue(CertificateSpec(name="served"))
FINGERPRINT = SERVED.certificate.fingerprint(SHA256()).hex()


def differences(
    monkeypatch: pytest.MonkeyPatch, *, data: str = "content", key: str = "config.yml", written: str = "11_59_59"
) -> dict[str, str]:
    """Return how each Secret differs, if all of them have one file. The files in the Pod have the text `content`."""
    paths: list[str] = []

    def read_files(_: object, command: Sequence[str], container: str) -> str:
        assert container == "registry"
        paths.append(command[-1])
        return f"..2026_11_25_{written}.1234\n{sha256(FILE).hexdigest()}  {key}\n"

    monkeypatch.setattr(mounted_secrets, "exec_in_pod", read_files)
    secret = {"data": {key: b64encode(data.encode()).decode()}}
    client = api(pod_with_secrets(), Secret=secret)
    certificate = ServerCertificate(1, "", True, FINGERPRINT)
    registry_target = SimpleNamespace(client=client, outputs=outputs_with(""), server_certificate=certificate)
    states = mounted_secrets.read_secrets(cast(target.Target, registry_target))
    assert sorted(paths) == ["/auth", "/certs", "/etc/distribution"]
    return {state.name: state.difference for state in states}


FILE = b"content"


def test_a_secret_that_the_registry_runs_with_has_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {*differences(monkeypatch).values()} == {""}


def test_a_secret_that_the_kubelet_has_not_written_yet_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    found = differences(monkeypatch, data="changed")
    assert {*found.values()} == {"has changed, and the Pod does not have the new content yet"}


def test_a_file_that_is_newer_than_its_reader_differs_unless_it_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found = differences(monkeypatch, written="12_00_01")
    assert found["auth-secret"] == ""
    assert "since the registry read it" in found["configuration-secret"]
    assert "since the registry read it" in found["cert-secret"]


@pytest.mark.parametrize("key", ["tls.crt", "certificate.pem"])
def test_a_certificate_that_is_not_served_differs(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    other = issue(CertificateSpec(name="other"))
    for certificate, difference in ((SERVED, ""), (other, "another certificate than the one that the registry serves")):
        monkeypatch.setattr(sys.modules[__name__], "FILE", certificate.pem.encode())
        found = differences(monkeypatch, data=certificate.pem, key=key)
        assert all(difference in text and bool(text) == bool(difference) for text in found.values())


def test_a_secret_that_is_gone_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    registry_target = SimpleNamespace(client=api(pod_with_secrets()), outputs=outputs_with(""))
    states = mounted_secrets.read_secrets(cast(target.Target, registry_target))
    assert {state.difference for state in states} == {"does not exist any more"}


def test_an_image_without_the_programs_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounted_secrets, "exec_in_pod", lambda *_: "exec: readlink: not found")
    registry_target = SimpleNamespace(client=api(pod_with_secrets(), Secret={"data": {}}), outputs=outputs_with(""))
    with pytest.raises(CheckError, match="readlink: not found"):
        mounted_secrets.read_secrets(cast(target.Target, registry_target))


def push_target(outputs: Outputs, registry: Registry, **settings: Any) -> target.Target:
    return target.Target(outputs, "dev", settings=StackSettings(**settings), address=("127.0.0.1", registry.port))


def test_a_push_stores_the_same_blob_each_time(outputs: Outputs, registry: Registry) -> None:
    for _ in range(2):
        assert push.read_push(push_target(outputs, registry)) == PushState("read-write")
    assert [content for key, content in registry.contents.items() if ":" in key] == [push.CONTENT]
    assert len(push.CONTENT) == 34, "the pages say so"


def test_a_push_that_the_mode_refuses_is_no_fault_if_the_config_has_that_mode(
    outputs: Outputs, registry: Registry
) -> None:
    registry.mode = "read-only"
    assert push.read_push(push_target(outputs, registry, mode="read-only")) == PushState("read-only")
    with pytest.raises(CheckError, match="runs in `mode` read-only, but the config sets read-write"):
        push.read_push(push_target(outputs, registry, mode="read-write"))


def test_a_push_that_the_rules_refuse_is_no_fault(
    outputs: Outputs, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_verify.Handler, "write", lambda handler, _: handler.answer(403))
    assert "rules do not let centos push" in push.read_push(push_target(outputs, registry)).reason
    assert "no user" in push.read_push(push_target(replace(outputs, username=""), registry)).reason


@pytest.mark.parametrize(
    ("space", "cause"),
    [
        (SPACE.replace(" 500 45%", " 0 100%"), "has no space left"),
        (SPACE.replace(" 56 78%", " 0 100%"), "has no inodes left"),
        (SPACE.replace(" rw,", " ro,"), "is read-only"),
        (SPACE.replace("0 0 755", "1000 1000 755"), "belongs to another user than 0"),
    ],
)
def test_a_push_that_fails_has_the_cause_of_the_volume(
    outputs: Outputs, registry: Registry, monkeypatch: pytest.MonkeyPatch, space: str, cause: str
) -> None:
    registry.full = True
    monkeypatch.setattr(volume, "exec_in_pod", lambda *_: space)
    cluster = api(POD, PersistentVolumeClaim=CLAIM, PersistentVolume=VOLUME)
    monkeypatch.setattr(kubernetes, "connect", lambda: cluster)
    with pytest.raises(CheckError, match=cause):
        push.read_push(push_target(outputs, registry))
    monkeypatch.setattr(pod_diagnosis, "connect", lambda: cluster)
    problem = pod_diagnosis.ask_cluster("team", is_write=True)
    assert problem is not None
    assert cause in problem.cause
    assert pod_diagnosis.ask_cluster("team", is_write=False) is None, "The volume matters for a write."
    results = list(verify.run_checks(outputs, ("127.0.0.1", registry.port), find_cause=pod_diagnosis.ask_cluster))
    assert (test_verify.failure(results).summary, results[-1].remedy) == (problem.cause, problem.remedy)


def test_a_push_that_fails_for_another_reason_has_the_answer_of_the_registry(
    outputs: Outputs, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.full = True
    monkeypatch.setattr(volume, "exec_in_pod", lambda *_: SPACE)
    monkeypatch.setattr(kubernetes, "connect", lambda: api(POD))
    with pytest.raises(requests.HTTPError):
        push.read_push(push_target(outputs, registry))
    monkeypatch.setattr(pod_diagnosis, "connect", lambda: api(POD))
    assert pod_diagnosis.ask_cluster("team", is_write=True) is None
    monkeypatch.setattr(pod_diagnosis, "connect", lambda: api(WITHOUT_VOLUME))
    assert pod_diagnosis.ask_cluster("team", is_write=True) is None


ENGINE_ERROR = {
    "diagnostics": [
        {"message": "warning: old", "severity": "warning"},
        {"message": "error: preview failed", "severity": "error"},
        {
            "message": "error: kubernetes:apps/v1:Deployment resource has a problem: Apply failed with 1 conflict:\n"
            'conflict with "kubectl-set": .spec.limits.\n',
            "severity": "error",
        },
    ]
}


def test_a_field_conflict_has_the_words_of_the_engine_and_its_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    test_verify.fake_pulumi(tmp_path, monkeypatch, f"printf %s '{json.dumps(ENGINE_ERROR)}'; exit 255")
    with pytest.raises(CheckError) as error:
        drift.preview_changes("dev")
    assert error.value.cause == 'Apply failed with 1 conflict: conflict with "kubectl-set": .spec.limits.'
    assert "`pulumi up --refresh --stack dev`" in error.value.remedy


def test_a_preview_that_prints_no_error_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    test_verify.fake_pulumi(tmp_path, monkeypatch, "echo '{}'; exit 255")
    with pytest.raises(CheckError, match="it printed no error") as error:
        drift.preview_changes("dev")
    assert "`pulumi preview --refresh --stack dev`" in error.value.remedy


def test_a_command_runs_in_the_container_of_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []

    def stream(_: object, **options: Any) -> str:
        calls.append(options)
        return "output"

    monkeypatch.setattr(kubernetes, "connect_api_client", lambda: None)
    monkeypatch.setattr(kubernetes, "stream", stream)
    assert kubernetes.exec_in_pod(POD, ("df", "-P")) == "output"
    call = {"name": "docker-registry", "namespace": "team", "container": "registry", "command": ["df", "-P"]}
    assert call.items() <= calls[0].items()


def test_the_daemon_set_tells_how_many_nodes_trust_the_ca() -> None:
    daemon_set = {"status": {"numberReady": 1, "desiredNumberScheduled": 3}}
    pods = [agent("node-b", "False"), agent("node-a", "True"), agent("node-a", "False"), {"spec": {}, "status": {}}]
    by_kind = {"DaemonSet": [daemon_set], "Pod": pods}

    def get(kind: str, **_: Any) -> Any:
        return SimpleNamespace(to_dict=lambda: {"items": by_kind[kind]})

    cluster: Any = SimpleNamespace(resources=api().resources, get=get)
    found = workload.read_node_trust(cluster, "team")
    assert found == NodeTrust(1, 3, {"node-a": True, "node-b": False})
    assert workload.read_node_trust(api(), "team") is None


def agent(node: str, ready: str) -> dict[str, Any]:
    """Return a Pod of `node_trust`."""
    return {"spec": {"nodeName": node}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


def test_generations_are_read_from_the_names_of_generated_cas() -> None:
    ca = "".join(
        issue(CertificateSpec(name=name, days=days)).pem for name, days in {"x CA": 11.5, "x CA 2": 21.5}.items()
    )
    authorities = certificates.read_authorities(ca + issue(CertificateSpec(name="Corporate Root")).pem)
    names = [(ca.name, ca.generation) for ca in authorities]
    assert names == [("x CA", 1), ("x CA 2", 2)], "the CA of a bucket does not belong to a rotation"
    assert [int(ca.days) for ca in authorities] == [10, 20]
    assert [ca.name for ca in certificates.read_authorities(issue(CertificateSpec(name="A root")).pem)] == ["A root"]
    root = issue(CertificateSpec(name="Root CA"))
    assert certificates.read_authorities(issue(CertificateSpec(name="Issuing CA"), root).pem)[0].generation is None


def test_a_ca_that_is_not_pem_is_an_error() -> None:
    with pytest.raises(CommandError, match="PEM"):
        certificates.read_authorities("not a certificate")


def serve(registry: Registry, folder: Path, signer: IssuedCertificate, days: float = 356) -> tuple[str, int]:
    """Have the registry serve a certificate issued by `signer` with `days` left. Return its address."""
    issued = issue(server_spec("docker-registry", starts=-40, days=days + 40), signer)
    chain = folder / "chain.pem"
    chain.write_text(issued.pem + issued.key_pem)
    registry.speak_tls(chain)
    return "127.0.0.1", registry.port


def outputs_with(ca_pem: str) -> Outputs:
    return Outputs("docker-registry:5000", ca_pem, "centos", PASSWORD, "team")


def test_the_issuer_is_found_among_two_cas(registry: Registry, tmp_path: Path) -> None:
    one, two = issue(CertificateSpec(name="x CA")), issue(CertificateSpec(name="x CA 2"))
    address = serve(registry, tmp_path, two)
    certificate = certificates.read_server_certificate(outputs_with(one.pem + two.pem), address)
    assert (certificate.signer, certificate.trusted, round(certificate.days)) == ("x CA 2", True, 356)


def test_an_expired_certificate_can_still_be_read(registry: Registry, tmp_path: Path) -> None:
    ca = issue(CertificateSpec(name="x CA", starts=-100))
    certificate = certificates.read_server_certificate(outputs_with(ca.pem), serve(registry, tmp_path, ca, days=-2))
    assert (certificate.trusted, round(certificate.days)) == (True, -2)


def test_a_certificate_of_another_ca_is_not_trusted_and_its_issuer_is_named(registry: Registry, tmp_path: Path) -> None:
    address = serve(registry, tmp_path, issue(CertificateSpec(name="another CA")))
    certificate = certificates.read_server_certificate(outputs_with(issue(CertificateSpec(name="x CA")).pem), address)
    assert (certificate.signer, certificate.trusted) == ("another CA", False)


def status_of_endpoint(registry: Registry, folder: Path, days: float, *options: str, ca_text: str = "{pem}") -> Any:
    """Run `ops status --endpoint` for a registry whose certificate has `days` left.

    `ca_text` is the text of the CA file, with the certificate as `{pem}`.
    """
    ca = issue(CertificateSpec(name="docker-registry CA", starts=-100))
    (folder / "ca.pem").write_text(ca_text.format(pem=ca.pem), encoding="utf-8")
    host, port = serve(registry, folder, ca, days)
    call = ["--endpoint", "docker-registry:5000", "--ca", str(folder / "ca.pem"), "--address", f"{host}:{port}"]
    return CliRunner().invoke(command_line.app, ["status", *call, *options])


def test_the_report_of_an_endpoint_without_a_stack_has_only_the_tls_rows(registry: Registry, tmp_path: Path) -> None:
    result = status_of_endpoint(registry, tmp_path, 356, "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert list(report) == ["endpoint", "stack", "healthy", "leaf", "authorities", "rotation"]
    assert report["leaf"].keys() == {"seen", "remedy", "facts"}
    assert report["leaf"]["facts"].keys() == {"days", "signer", "trusted", "fingerprint"}
    assert report["leaf"]["facts"]["signer"] == "docker-registry CA"
    assert report["rotation"]["facts"] == [1]


@pytest.mark.parametrize("ca_text", ["\ufeff{pem}", "# Société Générale\n{pem}"])
def test_the_ca_file_may_have_text_that_is_not_ascii(registry: Registry, tmp_path: Path, ca_text: str) -> None:
    result = status_of_endpoint(registry, tmp_path, 356, "--json", ca_text=ca_text)
    assert result.exit_code == 0, result.exception
    assert json.loads(result.stdout)["leaf"]["facts"]["trusted"]


def test_a_row_with_a_remedy_is_marked_and_the_exit_code_is_1(registry: Registry, tmp_path: Path) -> None:
    result = status_of_endpoint(registry, tmp_path, 20)
    assert result.exit_code == 1
    assert "!  certificate" in result.stdout
    assert "→ certificate: " in result.stdout


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (["--endpoint", "docker-registry:5000"], "--ca"),
        (["--ca", "ca.pem"], "--endpoint"),
        (["--endpoint", "docker-registry:5000", "--ca", "{folder}/none"], "/none"),
        (["--endpoint", "docker-registry", "--ca", "{folder}/ca.pem"], "HOST:PORT"),
        (["--endpoint", "a:1", "--ca", "{folder}/ca.pem", "--address", "nowhere"], "'nowhere'"),
    ],
)
def test_a_wrong_call_exits_2(
    call: list[str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ca.pem").write_text(issue(CertificateSpec()).pem)
    monkeypatch.setattr("sys.argv", ["ops", "status", *(word.format(folder=tmp_path) for word in call)])
    with pytest.raises(SystemExit) as exit_info:
        command_line.main()
    assert exit_info.value.code == 2
    assert problem in " ".join(capsys.readouterr().err.replace("│", "").split())


CONFIG = {
    "private-registry:renew_before_days": {"value": "7", "secret": False},
    "private-registry:ca_generations": {"value": "[1,2]", "objectValue": [1, 2], "secret": False},
    "private-registry:ca_certificate": {"value": "PEM", "secret": False},
    "private-registry:ca_key": {"secret": True},
    "kubernetes:tls_secret": {"value": "of another provider", "secret": False},
}


@pytest.fixture
def stack_outputs(monkeypatch: pytest.MonkeyPatch, outputs: Outputs) -> dict[str, Any]:
    """Return the outputs that Pulumi prints for the stack. The stack has the config CONFIG."""
    passwords = {"passwords": {"centos": PASSWORD, "ci": "another password"}}
    values: dict[str, Any] = {**{output.name: getattr(outputs, output.name) for output in fields(Outputs)}, **passwords}

    def pulumi(*command: str, **_: Any) -> str:
        return json.dumps(CONFIG if command[0] == "config" else values)

    monkeypatch.setattr(stack, "pulumi", pulumi)
    return values


def test_settings_are_those_of_the_project_in_the_stacks_config(stack_outputs: dict[str, Any]) -> None:
    registry = target.from_stack("dev", check_drift=False)
    assert registry.settings == StackSettings(has_custom_ca=True, renew_before_days=7, ca_generations=[1, 2])
    assert registry.users == ("centos", "ci")


def test_users_that_the_stack_does_not_manage_are_not_listed(stack_outputs: dict[str, Any]) -> None:
    stack_outputs |= {"username": "", "password": "", "passwords": {}}
    verdict = verdicts.rate_users(target.from_stack("dev", check_drift=False).users)
    assert "`users_secret` or `token`" in verdict.summary
    assert verdict.remedy == ""


def test_a_value_that_cannot_be_read_has_a_row_and_no_row_contains_a_secret(
    stack_outputs: dict[str, Any], registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = ClusterError("The cluster cannot be read: refused; try: later.", "Check KUBECONFIG.")

    def refuse() -> None:
        raise error

    monkeypatch.setattr(kubernetes, "connect", refuse)
    call = ["status", "--address", f"127.0.0.1:{registry.port}", "--no-drift"]
    result = CliRunner().invoke(command_line.app, [*call, "--json"])
    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert report["users"]["facts"] == ["centos", "ci"]
    for key in ("image", "space", "volume", "restarts", "secrets", "nodes"):
        assert report[key] == {"seen": error.cause, "remedy": error.remedy, "facts": None}
    table = CliRunner().invoke(command_line.app, call)
    for secret in stack_outputs["passwords"].values():
        assert secret not in result.output + table.output


def test_the_other_rows_are_read_if_the_registry_is_down(
    stack_outputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "connect", lambda: api(POD))
    monkeypatch.setattr(volume, "exec_in_pod", lambda *_: SPACE)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        call = ["status", "--address", f"127.0.0.1:{bound.getsockname()[1]}", "--no-drift", "--json"]
        report = json.loads(CliRunner().invoke(command_line.app, call).stdout)
    assert report["leaf"]["facts"] is None
    assert "refused" in report["leaf"]["seen"]
    assert report["authorities"]["facts"][0]["name"] == "docker-registry CA"
    assert report["image"]["facts"] == ["registry:3.1.2"]
