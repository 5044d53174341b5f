"""`ops status`: what needs a person and what does not, and what is found out of a registry of the standard library."""

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
from ops import certificates, cluster, drift, judgement, live, place, stack
from ops.causes import Fault
from ops.facts import Authority, Leaf, Settings, Space, Trust
from ops.stack import Outputs, Refusal
from tests import test_verify
from tests.issuing import Issued, Wanted, issue, leaf
from tests.test_verify import PASSWORD, Registry

registry, outputs = test_verify.registry, test_verify.outputs

OWN = Settings(renew_before_days=30, ca_generations=[1])
ONE, TWO = Authority("docker-registry CA", 1, 3650), Authority("docker-registry CA 2", 2, 3650)
THEIRS = Authority("Corporate Root", None, 3650)


@pytest.mark.parametrize(
    ("days", "settings", "remedy"),
    [
        (356.0, OWN, ""),
        (30.01, OWN, ""),
        (30.0, OWN, "`pulumi up` renews it"),
        (-3.0, OWN, "`pulumi up` renews it"),
        (20.0, Settings(renew_before_days=5), "`pulumi up` renews it in its last 5 days (`renew_before_days`)"),
        (5.0, Settings(renew_before_days=5), "`pulumi up` renews it"),
        (20.0, Settings(), "`pulumi up` renews it"),
        (
            20.0,
            Settings(tls_secret="theirs"),
            "renew the certificate in the Secret theirs (`tls_secret`), then `pulumi",
        ),
    ],
)
def test_a_certificate_in_its_last_thirty_days_needs_whoever_renews_it(
    days: float, settings: Settings, remedy: str
) -> None:
    verdict = judgement.leaf(Leaf(days, "docker-registry CA", True), settings)
    assert verdict.remedy.startswith(remedy)
    assert bool(verdict.remedy) == bool(remedy)
    assert "signed by docker-registry CA" in verdict.seen


def test_an_expired_certificate_is_said_to_be_one() -> None:
    assert judgement.leaf(Leaf(-3.2, "docker-registry CA", True), OWN).seen.startswith("expired 3 days ago")


def test_a_certificate_by_nobody_that_clients_trust_needs_a_person_whatever_its_days() -> None:
    verdict = judgement.leaf(Leaf(356, "another CA", False), OWN)
    assert "which clients of this stack do not trust" in verdict.seen
    assert "pulumi up --refresh" in verdict.remedy


@pytest.mark.parametrize(
    ("found", "settings", "remedy"),
    [
        ([ONE], OWN, ""),
        ([Authority("docker-registry CA", 1, 428)], OWN, ""),
        (
            [Authority("docker-registry CA", 1, 427)],
            OWN,
            "rotate it, with ca_generations [1, 2] at first: in its last 397",
        ),
        ([Authority("docker-registry CA 2", 2, 20)], OWN, "rotate it, with ca_generations [2, 3] at first"),
        ([Authority("docker-registry CA", 1, 100), TWO], OWN, ""),
        ([Authority("docker-registry CA", 1, 30), TWO], OWN, "let another CA sign"),
        ([THEIRS], Settings(brings_ca=True), ""),
        ([Authority("Corporate Root", None, 31)], Settings(brings_ca=True), ""),
        ([Authority("Corporate Root", None, 30)], Settings(brings_ca=True), "set `ca_certificate` and `ca_key`"),
        ([Authority("Their CA", 1, 100)], Settings(brings_ca=True), ""),
        (
            [THEIRS, Authority("Issuing", None, 2)],
            Settings(tls_secret="theirs"),
            "put a new chain into the Secret theirs",
        ),
        ([Authority("Corporate Root", None, 3)], Settings(), "let another CA sign"),
    ],
)
def test_a_ca_needs_a_person_as_long_before_its_end_as_its_succession_takes(
    found: Sequence[Authority], settings: Settings, remedy: str
) -> None:
    verdict = judgement.authorities(found, settings)
    assert verdict.remedy.startswith(remedy)
    assert bool(verdict.remedy) == bool(remedy)
    assert all(each.name in verdict.seen for each in found)


@pytest.mark.parametrize(
    ("signer", "found", "asked", "seen", "remedy"),
    [
        (ONE.name, [ONE], [1], "none under way, CA 1 signs", ""),
        (TWO.name, [TWO], [2], "none under way, CA 2 signs", ""),
        (
            ONE.name,
            [ONE, TWO],
            [1, 2],
            "step 1 of 3: CA 2 is trusted beside CA 1, which signs",
            "ca_generations to [2, 1]",
        ),
        (TWO.name, [ONE, TWO], [2, 1], "step 2 of 3: CA 2 signs, CA 1 is still trusted", "set ca_generations to [2]"),
        (TWO.name, [ONE, TWO], None, "step 2 of 3: CA 2 signs, CA 1 is still trusted", "set ca_generations to [2]"),
        (ONE.name, [ONE], [1, 2], "CA 1 signs", "`pulumi up`: the config asks for ca_generations [1, 2]"),
        (
            ONE.name,
            [ONE, TWO],
            [2, 1],
            "step 1 of 3: CA 2 is",
            "`pulumi up`: the config asks for ca_generations [2, 1]",
        ),
        (THEIRS.name, [THEIRS], [1], "not applicable: the CA is none of the component's own", ""),
        ("another CA", [ONE], [1], "not to be told", ""),
    ],
)
def test_a_rotation_half_way_says_which_step_it_is_and_which_is_next(
    signer: str, found: Sequence[Authority], asked: Sequence[int] | None, seen: str, remedy: str
) -> None:
    verdict = judgement.rotation(signer, found, Settings(ca_generations=asked))
    assert verdict.seen.startswith(seen)
    assert verdict.remedy.endswith(remedy)
    assert bool(verdict.remedy) == bool(remedy)


@pytest.mark.parametrize("settings", [Settings(tls_secret="theirs"), Settings(brings_ca=True)])
def test_a_ca_of_somebody_else_has_no_steps_whatever_its_name(settings: Settings) -> None:
    assert judgement.rotation(ONE.name, [ONE, TWO], settings).remedy == ""


@pytest.mark.parametrize(
    ("found", "seen", "remedy"),
    [
        (["registry:3.1.2"], "registry:3.1.2", ""),
        (["registry:2.7"], "registry:2.7", "has known holes"),
        (["registry:3.1.1", "registry:3.1.2"], "registry:3.1.1, registry:3.1.2", "CVE-2026-85747"),
    ],
)
def test_an_image_with_an_advisory_needs_a_person(found: list[str], seen: str, remedy: str) -> None:
    verdict = judgement.images(found)
    assert verdict.seen == seen
    assert remedy in verdict.remedy
    assert bool(verdict.remedy) == bool(remedy)


@pytest.mark.parametrize(
    ("found", "seen", "needs"),
    [
        (Space(20 * 2**30, 2 * 2**30), "2.0 of 20.0 GiB (10%)", False),
        (Space(2000 * 2**20, 199 * 2**20), "0.2 of 2.0 GiB (10%)", True),
        (Space(20 * 2**30, 0), "0.0 of 20.0 GiB (0%)", True),
        (None, "not applicable: the images are in an object store", False),
    ],
)
def test_a_volume_with_less_than_a_tenth_free_needs_a_person(found: Space | None, seen: str, needs: bool) -> None:
    verdict = judgement.space(found)
    assert (verdict.seen, bool(verdict.remedy)) == (seen, needs)


@pytest.mark.parametrize(
    ("found", "seen", "needs"),
    [(Trust(2, 2), "2 of 2", False), (Trust(1, 2), "1 of 2", True), (None, "not kept up here (`node_trust`)", False)],
)
def test_a_node_without_the_files_needs_a_person(found: Trust | None, seen: str, needs: bool) -> None:
    verdict = judgement.trust(found, "team-trust")
    assert (verdict.seen, "-n team-trust" in verdict.remedy) == (seen, needs)


@pytest.mark.parametrize(
    ("changes", "seen", "needs"),
    [
        ({}, "none", False),
        ({"create": 1, "update": 2}, "1 to create, 2 to update", True),
        (None, "not looked for (--no-drift)", False),
    ],
)
def test_drift_needs_a_person(changes: Mapping[str, int] | None, seen: str, needs: bool) -> None:
    verdict = judgement.drift(changes, "mine")
    assert (verdict.seen, "--stack mine" in verdict.remedy) == (seen, needs)


def test_drift_is_what_the_next_up_would_not_leave_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    summary = {"changeSummary": {"same": 28, "read": 2, "update": 1, "create": 3}}
    monkeypatch.setattr(drift, "pulumi", lambda *_, **__: json.dumps(summary))
    assert drift.changes("dev") == {"create": 3, "update": 1}


def test_a_preview_that_fails_is_the_cause_and_no_end_of_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: str, **__: float) -> str:
        raise Refusal("`pulumi preview` failed, `port` must be …: see `pulumi stack ls --all`")

    monkeypatch.setattr(drift, "pulumi", fails)
    with pytest.raises(Fault, match="failed, `port` must be") as fault:
        drift.changes("dev")
    assert fault.value.remedy == "see `pulumi preview --refresh --stack dev`"


POD: dict[str, Any] = {
    "metadata": {"name": "docker-registry"},
    "spec": {
        "containers": [{"name": "registry", "image": "registry:3.1.2"}, {"name": "proxy", "image": "proxy:1.20"}],
        "volumes": [{"persistentVolumeClaim": {"claimName": "a"}}],
    },
    "status": {"phase": "Running"},
}
SPACE = "Filesystem           1024-blocks    Used Available Capacity Mounted on\n/dev/vda 1000 400 500 45% /etc/hosts\n"


def api(*items: dict[str, Any]) -> Any:
    """An API server that has just these objects."""
    answer = SimpleNamespace(to_dict=lambda: {"items": list(items)})
    return SimpleNamespace(resources=SimpleNamespace(get=lambda **_: ""), get=lambda *_, **__: answer)


def test_images_are_those_of_the_pods_that_run_and_are_to_stay() -> None:
    old = {"containers": [{"name": "registry", "image": "registry:2.7"}]}
    going = {**POD, "metadata": {"deletionTimestamp": "2026"}, "spec": old}
    assert live.running_images(api(POD, POD, going), "team") == ["registry:3.1.2"]
    with pytest.raises(Fault, match="no Pod of it runs"):
        live.running_images(api(going, {**POD, "status": {"phase": "Pending"}}), "team")


def test_space_is_what_df_says_in_the_pod_and_an_object_store_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "api_client", lambda: None)
    monkeypatch.setattr(live, "stream", lambda *_, **__: SPACE)
    assert live.free_space(api(POD), "team") == Space(1000 * 1024, 500 * 1024)
    in_a_store = {**POD, "spec": {**POD["spec"], "volumes": [{"secret": {}}]}}
    assert live.free_space(api(in_a_store), "team") is None
    monkeypatch.setattr(live, "stream", lambda *_, **__: "exec: df: not found")
    with pytest.raises(Fault, match="`df` in the Pod said exec: df: not found"):
        live.free_space(api(POD), "team")


def test_trust_is_counted_by_nodes_where_a_daemonset_keeps_it() -> None:
    kept = {"status": {"numberReady": 1, "desiredNumberScheduled": 2}}
    assert live.trusting_nodes(api(kept), "team") == Trust(1, 2)
    assert live.trusting_nodes(api(), "team") is None


def test_generations_are_told_by_the_names_of_generated_cas() -> None:
    ca = "".join(issue(Wanted(name=name, days=days)).pem for name, days in {"x CA": 11.5, "x CA 2": 21.5}.items())
    found = certificates.trusted_authorities(ca + issue(Wanted(name="Corporate Root")).pem)
    assert [(each.name, each.generation) for each in found] == [("x CA", 1), ("x CA 2", 2), ("Corporate Root", None)]
    assert [int(each.days) for each in found[:2]] == [10, 20]
    above = issue(Wanted(name="Root CA"))
    assert certificates.trusted_authorities(issue(Wanted(name="Issuing CA"), above).pem)[0].generation is None


def test_a_ca_that_is_no_pem_is_refused() -> None:
    with pytest.raises(Refusal, match="the CA is no PEM"):
        certificates.trusted_authorities("no PEM")


def serves(registry: Registry, folder: Path, signer: Issued, days: float = 356) -> tuple[str, int]:
    """Have the registry show a leaf by `signer` that ends in as many days; where it is."""
    shown = issue(leaf("docker-registry", starts=-40, days=days + 40), signer)
    chain = folder / "chain.pem"
    chain.write_text(shown.pem + shown.key_pem)
    registry.speak_tls(chain)
    return "127.0.0.1", registry.port


def outputs_of(ca_pem: str) -> Outputs:
    return Outputs("docker-registry:5000", ca_pem, "centos", PASSWORD, "team")


def test_of_two_cas_the_one_that_signed_is_told(registry: Registry, tmp_path: Path) -> None:
    one, two = issue(Wanted(name="x CA")), issue(Wanted(name="x CA 2"))
    found = certificates.shown_leaf(outputs_of(one.pem + two.pem), serves(registry, tmp_path, two))
    assert (found.signer, found.trusted, round(found.days)) == ("x CA 2", True, 356)


def test_a_certificate_that_has_expired_can_still_be_read(registry: Registry, tmp_path: Path) -> None:
    ca = issue(Wanted(name="x CA", starts=-100))
    found = certificates.shown_leaf(outputs_of(ca.pem), serves(registry, tmp_path, ca, days=-2))
    assert (found.trusted, round(found.days)) == (True, -2)


def test_a_certificate_by_another_ca_is_not_trusted_and_its_issuer_named(registry: Registry, tmp_path: Path) -> None:
    at = serves(registry, tmp_path, issue(Wanted(name="another CA")))
    found = certificates.shown_leaf(outputs_of(issue(Wanted(name="x CA")).pem), at)
    assert (found.signer, found.trusted) == ("another CA", False)


def bare(registry: Registry, folder: Path, days: float, *more: str) -> Any:
    ca = issue(Wanted(name="docker-registry CA", starts=-100))
    (folder / "ca.pem").write_text(ca.pem)
    host, port = serves(registry, folder, ca, days)
    call = ["--endpoint", "docker-registry:5000", "--ca", str(folder / "ca.pem"), "--address", f"{host}:{port}"]
    return CliRunner().invoke(command_line.app, ["status", *call, *more])


def test_of_a_bare_endpoint_what_tls_tells_is_told(registry: Registry, tmp_path: Path) -> None:
    done = bare(registry, tmp_path, 356, "--json")
    assert done.exit_code == 0
    shown = json.loads(done.stdout)
    assert list(shown) == ["endpoint", "stack", "healthy", "leaf", "authorities", "rotation"]
    assert shown["leaf"]["facts"]["signer"] == "docker-registry CA"
    assert shown["rotation"]["facts"] == [1]


def test_what_needs_a_person_is_marked_with_its_remedy_and_exits_1(registry: Registry, tmp_path: Path) -> None:
    done = bare(registry, tmp_path, 20)
    assert done.exit_code == 1
    assert "!  certificate" in done.stdout
    assert "→ certificate: `pulumi up` renews it" in done.stdout


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (["--endpoint", "docker-registry:5000"], "--endpoint and --ca go together"),
        (["--ca", "ca.pem"], "--endpoint and --ca go together"),
        (["--endpoint", "docker-registry:5000", "--ca", "{folder}/none"], "cannot read --ca"),
        (["--endpoint", "docker-registry", "--ca", "{folder}/ca.pem"], "is no HOST:PORT"),
        (["--endpoint", "a:1", "--ca", "{folder}/ca.pem", "--address", "nowhere"], "'nowhere' is no IP[:PORT]"),
    ],
)
def test_a_wrong_call_exits_2(
    call: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ca.pem").write_text(issue(Wanted()).pem)
    monkeypatch.setattr("sys.argv", ["ops", "status", *(each.format(folder=tmp_path) for each in call)])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 2
    assert said in " ".join(capsys.readouterr().err.replace("│", "").split())


CONFIG = {
    "private-registry:renew_before_days": {"value": "7", "secret": False},
    "private-registry:ca_generations": {"value": "[1,2]", "objectValue": [1, 2], "secret": False},
    "private-registry:ca_certificate": {"value": "PEM", "secret": False},
    "private-registry:ca_key": {"secret": True},
    "kubernetes:tls_secret": {"value": "of another provider", "secret": False},
}


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, outputs: Outputs) -> dict[str, Any]:
    """What the engine of a stack answers."""
    passwords = {"passwords": {"centos": PASSWORD, "ci": "another of them"}}
    answer: dict[str, Any] = {**{each.name: getattr(outputs, each.name) for each in fields(Outputs)}, **passwords}

    def pulumi(*command: str, **_: Any) -> str:
        return json.dumps(CONFIG if command[0] == "config" else answer)

    monkeypatch.setattr(stack, "pulumi", pulumi)
    monkeypatch.setattr(place, "pulumi", pulumi)
    return answer


def test_settings_are_those_of_the_project_in_the_stacks_config(known: dict[str, Any]) -> None:
    found = place.of_stack("dev", drift=False)
    assert found.settings == Settings(None, True, 7, [1, 2])
    assert found.users == ("centos", "ci")


def test_users_of_somebody_elses_are_said_to_be_those(known: dict[str, Any]) -> None:
    known |= {"username": "", "password": "", "passwords": {}}
    assert (
        judgement.users(place.of_stack("dev", drift=False).users).seen == "those of a Secret of yours (`users_secret`)"
    )


def test_what_cannot_be_found_out_is_a_row_and_no_row_has_a_secret(
    known: dict[str, Any], registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unseen() -> None:
        raise Refusal("cannot see what lives on the cluster: refused; check KUBECONFIG, then again")

    monkeypatch.setattr(cluster, "connect", unseen)
    call = ["status", "--address", f"127.0.0.1:{registry.port}", "--no-drift"]
    done = CliRunner().invoke(command_line.app, [*call, "--json"])
    shown = json.loads(done.stdout)
    assert done.exit_code == 1
    assert shown["users"]["facts"] == ["centos", "ci"]
    for key in ("image", "space", "nodes"):
        assert shown[key]["seen"] == "cannot see what lives on the cluster: refused"
        assert shown[key]["remedy"] == "check KUBECONFIG, then again"
    table = CliRunner().invoke(command_line.app, call)
    for secret in known["passwords"].values():
        assert secret not in done.output + table.output


def test_a_registry_that_is_down_is_told_of_with_the_rest(
    known: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "connect", lambda: api(POD))
    monkeypatch.setattr(cluster, "api_client", lambda: None)
    monkeypatch.setattr(live, "stream", lambda *_, **__: SPACE)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        call = ["status", "--address", f"127.0.0.1:{bound.getsockname()[1]}", "--no-drift", "--json"]
        shown = json.loads(CliRunner().invoke(command_line.app, call).stdout)
    assert shown["leaf"]["seen"].startswith("connection refused")
    assert shown["authorities"]["facts"][0]["name"] == "docker-registry CA"
    assert shown["image"]["facts"] == ["registry:3.1.2"]
