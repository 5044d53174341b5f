"""`ops status`: the verdicts, and the values that are read from a fake registry and a fake API server."""

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from ops import __main__ as command_line
from ops import kubernetes, stack
from ops.errors import CheckError, ClusterError, CommandError, PulumiError
from ops.stack import Outputs
from ops.status import certificates, drift, target, verdicts, workload
from ops.status.facts import CertificateAuthority, DiskSpace, NodeTrust, ServerCertificate, StackSettings
from registry.tls.authority import RotationHint, rotation_hint
from tests import test_verify
from tests.issuing import CertificateSpec, IssuedCertificate, issue, server_spec
from tests.test_verify import PASSWORD, Registry

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
        (20.0, StackSettings(tls_secret="custom"), "the Secret custom (`tls_secret`)"),
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


@pytest.mark.parametrize("settings", [StackSettings(tls_secret="custom"), StackSettings(has_custom_ca=True)])
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


@pytest.mark.parametrize(
    ("space", "summary", "has_remedy"),
    [
        (DiskSpace(20 * 2**30, 2 * 2**30), "2.0 of 20.0 GiB (10%)", False),
        (DiskSpace(2000 * 2**20, 199 * 2**20), "0.2 of 2.0 GiB (10%)", True),
        (DiskSpace(20 * 2**30, 0), "0.0 of 20.0 GiB (0%)", True),
        (None, "not applicable: the images are in an object store", False),
    ],
)
def test_a_volume_with_less_than_a_tenth_free_has_a_remedy(
    space: DiskSpace | None, summary: str, has_remedy: bool
) -> None:
    verdict = verdicts.rate_disk_space(space)
    assert (verdict.summary, bool(verdict.remedy)) == (summary, has_remedy)


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
        "containers": [{"name": "registry", "image": "registry:3.1.2"}, {"name": "proxy", "image": "proxy:1.20"}],
        "volumes": [{"persistentVolumeClaim": {"claimName": "a"}}],
    },
    "status": {"phase": "Running"},
}
SPACE = "Filesystem           1024-blocks    Used Available Capacity Mounted on\n/dev/vda 1000 400 500 45% /etc/hosts\n"


def api(*items: dict[str, Any]) -> Any:
    """Return a client of an API server that has only these objects."""
    answer = SimpleNamespace(to_dict=lambda: {"items": list(items)})
    return SimpleNamespace(resources=SimpleNamespace(get=lambda **_: ""), get=lambda *_, **__: answer)


def test_images_are_those_of_running_pods_that_are_not_being_deleted() -> None:
    old = {"containers": [{"name": "registry", "image": "registry:2.7"}]}
    deleted = {**POD, "metadata": {"deletionTimestamp": "2026"}, "spec": old}
    assert workload.read_images(api(POD, POD, deleted), "team") == ["registry:3.1.2"]
    with pytest.raises(CheckError):
        workload.read_images(api(deleted, {**POD, "status": {"phase": "Pending"}}), "team")


def test_space_is_read_by_df_in_the_pod_if_it_has_a_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload, "exec_in_pod", lambda *_: SPACE)
    assert workload.read_disk_space(api(POD), "team") == DiskSpace(1000 * 1024, 500 * 1024)
    without_volume = {**POD, "spec": {**POD["spec"], "volumes": [{"secret": {}}]}}
    assert workload.read_disk_space(api(without_volume), "team") is None
    monkeypatch.setattr(workload, "exec_in_pod", lambda *_: "exec: df: not found")
    with pytest.raises(CheckError, match="exec: df: not found"):
        workload.read_disk_space(api(POD), "team")


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
    daemon_set = {"status": {"numberReady": 1, "desiredNumberScheduled": 2}}
    assert workload.read_node_trust(api(daemon_set), "team") == NodeTrust(1, 2)
    assert workload.read_node_trust(api(), "team") is None


def test_generations_are_read_from_the_names_of_generated_cas() -> None:
    ca = "".join(
        issue(CertificateSpec(name=name, days=days)).pem for name, days in {"x CA": 11.5, "x CA 2": 21.5}.items()
    )
    authorities = certificates.read_authorities(ca + issue(CertificateSpec(name="Corporate Root")).pem)
    assert [(ca.name, ca.generation) for ca in authorities] == [("x CA", 1), ("x CA 2", 2), ("Corporate Root", None)]
    assert [int(ca.days) for ca in authorities[:2]] == [10, 20]
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
    assert report["leaf"]["facts"].keys() == {"days", "signer", "trusted"}
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
    assert registry.settings == StackSettings(None, True, 7, [1, 2])
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
    for key in ("image", "space", "nodes"):
        assert report[key] == {"seen": error.cause, "remedy": error.remedy, "facts": None}
    table = CliRunner().invoke(command_line.app, call)
    for secret in stack_outputs["passwords"].values():
        assert secret not in result.output + table.output


def test_the_other_rows_are_read_if_the_registry_is_down(
    stack_outputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "connect", lambda: api(POD))
    monkeypatch.setattr(workload, "exec_in_pod", lambda *_: SPACE)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        call = ["status", "--address", f"127.0.0.1:{bound.getsockname()[1]}", "--no-drift", "--json"]
        report = json.loads(CliRunner().invoke(command_line.app, call).stdout)
    assert report["leaf"]["facts"] is None
    assert "refused" in report["leaf"]["seen"]
    assert report["authorities"]["facts"][0]["name"] == "docker-registry CA"
    assert report["image"]["facts"] == ["registry:3.1.2"]
