"""`ops trust`: what is written where, that nothing of others is touched, and that it goes away without a trace."""

import json
import os
import ssl
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ops import __main__ as command_line
from ops import stack
from ops.stack import Endpoint, Known, Refusal
from ops.trust import CLIENTS, act, forget, hosts, mark, places, trust
from ops.trust import machine as machines
from ops.trust.machine import Machine
from tests.conftest import certificate_of
from tests.issuing import Wanted, issue

HOST = "docker-registry"
CA, NEXT = certificate_of("old"), certificate_of("next")
KNOWN = Known(f"{HOST}:5000", CA, ("192.168.56.10",))
HTTPS = Known("registry.example.com:443", NEXT, ("203.0.113.10",))
DOCKER = f"etc/docker/certs.d/{HOST}:5000/ca.crt"
ANCHORS = "usr/local/share/ca-certificates"
HOSTS = "127.0.0.1 localhost\n"
LINE = f"192.168.56.10 {HOST} # by `python -m ops trust` for {HOST}:5000"


@dataclass
class Computer:
    """A machine below a folder, with the programs named, and what was run there."""

    root: Path
    programs: Sequence[str] = ("docker",)
    names: dict[str, list[str]] = field(default_factory=dict)
    ran: list[Sequence[str]] = field(default_factory=list)

    def machine(self, **changes: Any) -> Machine:
        home = PurePosixPath("/home/jean")
        machine = Machine(
            root=self.root,
            home=home,
            config=home / ".config",
            is_root=True,
            call="python -m ops trust",
            which=lambda program: f"/usr/bin/{program}" if program in self.programs else None,
            resolve=self.resolve,
            run=self.ran.append,
            ask=None,
        )
        return replace(machine, **changes)

    def resolve(self, name: str) -> list[str]:
        """As a resolver does: /etc/hosts first, then the names that others know."""
        file = self.root / "etc/hosts"
        lines = file.read_bytes().decode().splitlines() if file.exists() else []
        listed = [each.split()[0] for each in lines if name in each.partition("#")[0].split()[1:]]
        return listed or self.names.get(name, [])

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
        return file

    def tree(self) -> dict[str, tuple[int, bytes | None]]:
        """Every file and folder, with its mode and content."""
        return {
            str(path.relative_to(self.root)): (path.stat().st_mode, path.read_bytes() if path.is_file() else None)
            for path in sorted(self.root.rglob("*"))
        }

    def body(self, path: str) -> str:
        """What follows the mark in a file of ours."""
        file = mark.read((self.root / path).read_text())
        assert file, f"{path} is marked"
        return file.body


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    made = Computer(tmp_path)
    made.write("etc/hosts", HOSTS)
    return made


def written(computer: Computer, before: dict[str, Any]) -> set[str]:
    return {path for path, (_, content) in computer.tree().items() if content is not None and path not in before}


FOLDER = f"certs.d/{HOST}:5000"
TABLE: list[tuple[str, bool, set[str]]] = [
    ("docker", True, {DOCKER}),
    ("podman", True, {f"etc/containers/{FOLDER}/ca.crt"}),
    ("skopeo", True, {f"etc/containers/{FOLDER}/ca.crt"}),
    ("podman", False, {f"home/jean/.config/containers/{FOLDER}/ca.crt"}),
    ("containerd", True, {f"etc/containerd/{FOLDER}/ca.crt", f"etc/containerd/{FOLDER}/hosts.toml"}),
    ("python", False, {f"home/jean/.config/private-registry/{HOST}-5000.pem"}),
]


@pytest.mark.parametrize(("client", "is_root", "paths"), TABLE)
def test_each_client_finds_the_ca_where_it_looks(
    computer: Computer, client: str, is_root: bool, paths: set[str]
) -> None:
    before = computer.tree()
    trust(computer.machine(is_root=is_root), KNOWN, [client], yes=True)
    assert written(computer, before) == paths
    for path in paths:
        assert (computer.root / path).stat().st_mode & 0o777 == 0o644
        assert (computer.root / path).parent.stat().st_mode & 0o777 == 0o755
        if path.endswith("ca.crt"):
            assert computer.body(path) == CA


def test_port_443_need_not_be_typed_so_there_are_two_folders(computer: Computer) -> None:
    before = computer.tree()
    trust(computer.machine(), HTTPS, ["docker"], yes=True)
    assert written(computer, before) == {
        f"etc/docker/certs.d/{name}/ca.crt" for name in ("registry.example.com", "registry.example.com:443")
    }


def test_containerd_is_told_what_it_may_do_there_and_whom_to_trust(computer: Computer) -> None:
    trust(computer.machine(), KNOWN, ["containerd"], yes=True)
    read = tomllib.loads((computer.root / f"etc/containerd/{FOLDER}/hosts.toml").read_text())
    ca = f"/etc/containerd/{FOLDER}/ca.crt"
    assert read == {
        "server": f"https://{HOST}:5000",
        "host": {f"https://{HOST}:5000": {"capabilities": ["pull", "resolve", "push"], "ca": ca}},
    }


@pytest.mark.parametrize(
    ("program", "present", "anchors"),
    [
        ("update-ca-certificates", "etc/ca-certificates.conf", ANCHORS),
        ("update-ca-trust", "etc/pki/ca-trust/source/README", "etc/pki/ca-trust/source/anchors"),
    ],
)
def test_a_system_gets_a_file_a_certificate_and_makes_its_list(
    computer: Computer, program: str, present: str, anchors: str
) -> None:
    computer.write(present, "")
    computer.programs = (program,)
    before = computer.tree()
    trust(computer.machine(), replace(KNOWN, ca_pem=CA + NEXT), ["system"], yes=True)
    files = written(computer, before)
    assert {computer.body(path) for path in files} == {CA, NEXT}
    assert {str(Path(path).parent) for path in files} == {anchors}
    assert all(path.endswith(".crt") for path in files)
    assert computer.ran == [(program,)]


def test_a_system_forgets_the_ca_that_was_replaced_and_leaves_its_neighbours(computer: Computer) -> None:
    computer.programs = ("update-ca-certificates",)
    computer.write("etc/ca-certificates.conf", "")
    neighbour = computer.write(f"{ANCHORS}/proxy.crt", CA)
    trust(computer.machine(), replace(KNOWN, ca_pem=CA + NEXT), ["system"], yes=True)
    trust(computer.machine(), replace(KNOWN, ca_pem=NEXT), ["system"], yes=True)
    ours = [path for path in (computer.root / ANCHORS).iterdir() if path != neighbour]
    assert [computer.body(str(path.relative_to(computer.root))) for path in ours] == [NEXT]
    assert computer.ran[-1] == ("update-ca-certificates", "--fresh"), "links to what is gone go too"
    assert neighbour.read_text() == CA


def test_a_systems_list_that_has_the_ca_is_not_made_again(computer: Computer) -> None:
    computer.programs = ("update-ca-certificates",)
    computer.write("etc/ca-certificates.conf", "")
    trust(computer.machine(), KNOWN, ["system"], yes=True)
    trust(computer.machine(), KNOWN, ["system"], yes=True)
    assert len(computer.ran) == 2, "the list still lacks it: the first time was cut off"
    computer.write("etc/ssl/certs/ca-certificates.crt", f"{NEXT}# By somebody\n{CA}")
    trust(computer.machine(), KNOWN, ["system"], yes=True)
    assert len(computer.ran) == 2


def test_a_system_that_forgets_makes_its_list_anew_and_one_that_is_only_asked_does_not(computer: Computer) -> None:
    computer.programs = ("update-ca-certificates",)
    computer.write("etc/ca-certificates.conf", "")
    (computer.root / ANCHORS).mkdir(parents=True)
    before = computer.tree()
    trust(computer.machine(), KNOWN, ["system"], dry_run=True)
    assert computer.ran == []
    trust(computer.machine(), KNOWN, ["system"], yes=True)
    forget(computer.machine(), KNOWN, [], dry_run=True)
    assert computer.ran == [("update-ca-certificates",)]
    forget(computer.machine(), KNOWN, [], yes=True)
    assert computer.ran[1:] == [("update-ca-certificates", "--fresh")]
    assert computer.tree() == before


def test_a_system_without_a_known_list_is_refused(computer: Computer) -> None:
    before = computer.tree()
    with pytest.raises(Refusal, match=r"no update-ca-certificates or update-ca-trust: .*--for"):
        trust(computer.machine(), KNOWN, ["docker", "system"], yes=True)
    assert computer.tree() == before


def test_python_gets_everything_it_trusted_and_the_ca(computer: Computer, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = f"home/jean/.config/private-registry/{HOST}-5000.pem"
    trust(computer.machine(), KNOWN, ["python"], yes=True)
    assert computer.body(bundle) == machines.public_roots().rstrip() + "\n" + CA
    assert f"export REQUESTS_CA_BUNDLE=/{bundle} SSL_CERT_FILE=/{bundle}\n" in capsys.readouterr().out
    computer.write("etc/ssl/certs/ca-certificates.crt", NEXT)
    trust(computer.machine(), KNOWN, ["python"], yes=True)
    assert computer.body(bundle) == NEXT + CA, "the system's list counts, with what its owner added"


def test_those_that_are_here_are_meant_unless_others_are_named(
    computer: Computer, capsys: pytest.CaptureFixture[str]
) -> None:
    computer.programs = ("dockerd", "update-ca-certificates", "python3")
    computer.write("etc/containerd/config.toml", "")
    trust(computer.machine(), KNOWN, [], yes=True)
    assert "for docker, containerd, found on this machine\n" in capsys.readouterr().out
    assert not (computer.root / ANCHORS).exists(), "a CA of the system vouches for every name: that is asked for"


def test_a_machine_without_a_client_says_whom_to_name(computer: Computer) -> None:
    computer.programs = ()
    with pytest.raises(Refusal, match="name one with --for, of docker, podman, "):
        trust(computer.machine(), KNOWN, [])


@pytest.mark.parametrize("client", ["docker", "containerd", "python"])
def test_a_file_of_others_is_never_overwritten_and_then_nothing_is_written(computer: Computer, client: str) -> None:
    path = next(iter(CLIENTS[client](KNOWN, computer.machine()))).path
    computer.write(str(path).lstrip("/"), NEXT)
    before = computer.tree()
    with pytest.raises(Refusal, match=rf"{path} is not by this command, .*: move it away"):
        trust(computer.machine(), KNOWN, ["podman", client], yes=True)
    assert computer.tree() == before


def test_a_file_for_another_registry_is_not_overwritten_either(computer: Computer) -> None:
    computer.write(DOCKER, mark.text(mark.Marked("other:5000", 0, CA)))
    with pytest.raises(Refusal, match="is of other:5000: move it away"):
        trust(computer.machine(), KNOWN, ["docker"], yes=True)


def test_what_others_wrote_alike_is_already_so_and_stays(
    computer: Computer, capsys: pytest.CaptureFixture[str]
) -> None:
    computer.write(DOCKER, CA + "\n")
    computer.write("etc/hosts", f"{HOSTS}192.168.56.10 {HOST}\n")
    before = computer.tree()
    trust(computer.machine(), KNOWN, ["docker"], yes=True)
    assert "already so" in capsys.readouterr().out
    forget(computer.machine(), KNOWN, [], yes=True)
    assert computer.tree() == before
    kept = ["kept", f"/{DOCKER}", "not by this command"]
    assert kept in [line.rstrip().split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]


def test_a_second_time_nothing_is_written(computer: Computer, capsys: pytest.CaptureFixture[str]) -> None:
    trust(computer.machine(), KNOWN, ["docker", "python"], yes=True)
    times = {path: path.stat().st_mtime_ns for path in computer.root.rglob("*")}
    capsys.readouterr()
    trust(computer.machine(), KNOWN, ["docker", "python"])
    assert "already so" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in computer.root.rglob("*")} == times


def test_a_new_ca_takes_the_place_of_the_old_one(computer: Computer, capsys: pytest.CaptureFixture[str]) -> None:
    trust(computer.machine(), KNOWN, ["docker"], yes=True)
    capsys.readouterr()
    trust(computer.machine(), replace(KNOWN, ca_pem=NEXT), ["docker"], yes=True)
    assert f"changed  /{DOCKER}" in capsys.readouterr().out
    assert computer.body(DOCKER) == NEXT


def test_a_dry_run_says_everything_and_writes_nothing(computer: Computer, capsys: pytest.CaptureFixture[str]) -> None:
    before = computer.tree()
    trust(computer.machine(), KNOWN, ["docker"], dry_run=True)
    said = capsys.readouterr().out
    rows = [line.split(maxsplit=2) for line in said.splitlines()]
    assert ["new", f"/{DOCKER}"] in rows
    assert ["changed", "/etc/hosts", f"with the line 192.168.56.10 {HOST}"] in rows
    assert "nothing is written: --dry-run" in said
    assert computer.tree() == before


@pytest.mark.parametrize("answer", [None, False])
def test_nobody_asked_or_a_no_writes_nothing(computer: Computer, answer: bool | None) -> None:
    before = computer.tree()
    asked: Callable[[str], bool] | None = None if answer is None else lambda _: False
    with pytest.raises(Refusal, match="--yes" if answer is None else "nothing was written"):
        trust(computer.machine(ask=asked), KNOWN, ["docker"])
    assert computer.tree() == before


def test_a_yes_writes(computer: Computer) -> None:
    trust(computer.machine(ask=lambda _: True), KNOWN, ["docker"])
    assert computer.body(DOCKER) == CA


def test_without_permission_sudo_is_named_and_nothing_is_done(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = computer.tree()
    etc = str(computer.root / "etc")
    monkeypatch.setattr(os, "access", lambda path, mode: mode & os.W_OK == 0 or not str(path).startswith(etc))
    with pytest.raises(Refusal, match=r'call it with sudo: `sudo -E env "PATH=\$PATH" python -m ops trust`'):
        trust(computer.machine(is_root=False), KNOWN, ["podman", "docker"], yes=True)
    assert computer.tree() == before
    trust(computer.machine(is_root=False), KNOWN, ["podman"], yes=True)
    assert computer.tree().keys() > before.keys(), "what is below the home needs no sudo"


def test_a_disk_that_fails_leaves_everything_as_it_was(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    before, laid = computer.tree(), act._laid_beside

    def full(path: Path, text: str) -> Path:
        if path.name == "hosts":
            raise OSError(28, "No space left on device", str(path))
        return laid(path, text)

    monkeypatch.setattr(act, "_laid_beside", full)
    with pytest.raises(Refusal, match=r"No space left on device.*nothing was changed"):
        trust(computer.machine(), KNOWN, ["docker", "containerd"], yes=True)
    assert computer.tree() == before


def test_a_stack_without_a_ca_is_refused(computer: Computer) -> None:
    with pytest.raises(Refusal, match="puts out no CA"):
        trust(computer.machine(), replace(KNOWN, ca_pem=""), ["docker"], yes=True)


def hosts_of(computer: Computer) -> str:
    return (computer.root / "etc/hosts").read_text()


HOSTS_TABLE: dict[str, tuple[str, dict[str, list[str]], tuple[str, ...], str, str]] = {
    "unknown": (HOSTS, {}, ("192.168.56.10",), f"{HOSTS}{LINE}\n", "changed"),
    "no line break": (HOSTS.rstrip(), {}, ("192.168.56.10",), f"{HOSTS}{LINE}", "changed"),
    "known by DNS": (HOSTS, {HOST: ["192.168.56.10"]}, ("192.168.56.10",), HOSTS, f"{HOST} is 192.168.56.10"),
    "elsewhere": (HOSTS, {HOST: ["10.0.0.1"]}, ("192.168.56.10",), HOSTS, f"{HOST} is 10.0.0.1 here, the registry's"),
    "no address": (HOSTS, {}, (), HOSTS, "call it again with --address IP"),
    "of others": (f"10.0.0.1 {HOST}\n", {}, ("192.168.56.10",), f"10.0.0.1 {HOST}\n", "edit by hand"),
    "moved": (f"{LINE.replace('56.10', '56.9')}\n{HOSTS}", {}, ("192.168.56.10",), f"{LINE}\n{HOSTS}", "changed"),
}


@pytest.mark.parametrize("case", HOSTS_TABLE)
def test_the_name_leads_to_the_registry_unless_others_lead_it_elsewhere(
    computer: Computer, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    text, names, addresses, after, said = HOSTS_TABLE[case]
    computer.write("etc/hosts", text)
    computer.names = names
    trust(computer.machine(), replace(KNOWN, addresses=addresses), ["docker"], yes=True)
    assert hosts_of(computer) == after
    assert said in capsys.readouterr().out


def test_an_address_that_is_given_counts(computer: Computer) -> None:
    trust(computer.machine(), KNOWN, ["docker"], address="192.168.56.11", yes=True)
    assert LINE.replace("56.10", "56.11") in hosts_of(computer)


def test_a_mounted_hosts_file_as_in_a_container_is_written_in_place(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_file = Path.replace

    def busy(path: Path, target: Path) -> Path:
        if target.name == "hosts":
            raise OSError(16, "Device or resource busy", str(target))
        return replace_file(path, target)

    monkeypatch.setattr(Path, "replace", busy)
    trust(computer.machine(), KNOWN, ["docker"], yes=True)
    assert hosts_of(computer) == f"{HOSTS}{LINE}\n"
    assert sorted(path.name for path in (computer.root / "etc").iterdir()) == ["docker", "hosts"]


def test_a_hosts_file_that_is_a_link_stays_one(computer: Computer) -> None:
    text = computer.write("run/hosts", HOSTS)
    (computer.root / "etc/hosts").unlink()
    (computer.root / "etc/hosts").symlink_to("../run/hosts")
    trust(computer.machine(), KNOWN, ["docker"], yes=True)
    assert text.read_text() == f"{HOSTS}{LINE}\n"
    forget(computer.machine(), KNOWN, [], yes=True)
    assert (computer.root / "etc/hosts").is_symlink()
    assert text.read_text() == HOSTS


def test_the_line_in_hosts_stays_until_the_last_client_forgets(computer: Computer) -> None:
    trust(computer.machine(), KNOWN, ["docker", "podman"], yes=True)
    forget(computer.machine(), KNOWN, ["docker"], yes=True)
    assert LINE in hosts_of(computer)
    forget(computer.machine(), KNOWN, [], yes=True)
    assert hosts_of(computer) == HOSTS


def test_two_registries_of_one_host_each_have_their_line(computer: Computer) -> None:
    trust(computer.machine(), KNOWN, ["docker"], yes=True)
    trust(computer.machine(), replace(KNOWN, endpoint=f"{HOST}:5001"), ["docker"], yes=True)
    forget(computer.machine(), KNOWN, [], yes=True)
    assert hosts_of(computer) == f"{HOSTS}{LINE.replace(':5000', ':5001')}\n"


def test_openssl_reads_the_ca_past_the_mark(computer: Computer) -> None:
    """Go does in the tests on the cluster, where Docker reads it."""
    trust(computer.machine(), replace(KNOWN, ca_pem=issue(Wanted()).pem), ["docker"], yes=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=computer.root / DOCKER)
    assert len(context.get_ca_certs()) == 1


def test_a_link_that_leads_two_clients_to_one_folder_stays(computer: Computer) -> None:
    (computer.root / "etc/docker/certs.d").mkdir(parents=True)
    (computer.root / "etc/containers").mkdir()
    (computer.root / "etc/containers/certs.d").symlink_to("../docker/certs.d")
    before = computer.tree()
    trust(computer.machine(), KNOWN, ["docker", "podman"], yes=True)
    assert (computer.root / "etc/containers/certs.d").is_symlink()
    assert computer.body(DOCKER) == CA
    forget(computer.machine(), KNOWN, [], yes=True)
    assert computer.tree() == before


CONTENTS = {
    "etc/docker/daemon.json": "{}",
    "etc/docker/certs.d/other:5000/ca.crt": NEXT,
    f"etc/docker/certs.d/{HOST}:5000/client.cert": "theirs",
    DOCKER: CA,
    f"{ANCHORS}/proxy.crt": NEXT,
    "etc/containers/registries.conf": "",
    f"home/jean/.config/containers/certs.d/{HOST}:5000/ca.crt": f"\n{CA}",
    "home/jean/.config/settings": "",
    "etc/containerd/config.toml": "",
}
"""What others may have on a machine."""

TEXTS = st.sampled_from(
    ["", HOSTS, HOSTS.rstrip(), "\n\n# ours\r\n10.0.0.1 docker-registry\r\n", "\n", f"10.9.9.9 x{HOST}"]
)
SOME = st.lists(st.sampled_from(list(CLIENTS)), min_size=1, unique=True)


@given(
    st.sets(st.sampled_from(list(CONTENTS))),
    TEXTS,
    st.booleans(),
    st.lists(st.tuples(st.sampled_from([KNOWN, HTTPS, replace(KNOWN, endpoint=f"{HOST}:5001")]), SOME), max_size=4),
    st.randoms(use_true_random=False),
)
def test_what_was_trusted_is_forgotten_without_a_trace(
    theirs: set[str], text: str, is_root: bool, calls: list[tuple[Known, list[str]]], random: Any
) -> None:
    """Whatever others have, whichever registries are trusted in whatever order, and with a new CA in between."""
    with tempfile.TemporaryDirectory() as folder:
        computer = Computer(Path(folder), programs=("update-ca-certificates",))
        for path in sorted(theirs):
            computer.write(path, CONTENTS[path])
        computer.write("etc/hosts", text)
        computer.write("etc/ca-certificates.conf", "")
        before = computer.tree()
        machine = computer.machine(is_root=is_root)
        for known, clients in calls:
            trust(machine, known, clients, yes=True)
            if known.endpoint != f"{HOST}:5000":
                trust(machine, replace(known, ca_pem=CA + NEXT), clients, yes=True)
        registries = list(dict.fromkeys(known.endpoint for known, _ in calls))
        random.shuffle(registries)
        for endpoint in registries:
            forget(machine, Endpoint(endpoint), [], yes=True)
        assert computer.tree() == before


def test_a_line_goes_in_and_out_of_any_text() -> None:
    for text in ("", "\n", "a", "a\n", "a\n\n", "a\r\nb"):
        assert hosts.removed(hosts.added(text, KNOWN, "10.0.0.1"), KNOWN) == text


def test_what_a_client_has_to_know_is_read_without_any_password(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {"endpoint": KNOWN.endpoint, "ca_pem": "[secret]", "password": "[secret]", "addresses": ["192.168.56.10"]}
    asked: list[tuple[str, ...]] = []

    def pulumi(*command: str) -> str:
        asked.append(command)
        return json.dumps(CA if "--show-secrets" in command else outputs)

    monkeypatch.setattr(stack, "pulumi", pulumi)
    assert stack.read_known("dev") == KNOWN
    assert [command[2] for command in asked if "--show-secrets" in command] == ["ca_pem"], "that alone"


def test_a_stack_from_before_there_were_addresses_knows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "pulumi", lambda *_: json.dumps({"endpoint": KNOWN.endpoint, "ca_pem": CA}))
    assert stack.read_known("dev") == replace(KNOWN, addresses=())


@pytest.fixture
def here(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> Computer:
    """The command line's machine is the computer."""
    monkeypatch.setattr(machines, "here", lambda _: computer.machine())
    monkeypatch.setattr(command_line, "read_known", lambda _: KNOWN)
    return computer


def test_the_command_names_stack_and_registry_and_takes_clients_again_and_again(here: Computer) -> None:
    done = CliRunner().invoke(command_line.app, ["trust", "--for", "docker", "--for", "podman", "--yes"])
    assert done.exit_code == 0, done.output
    assert f"{HOST}:5000, as the stack 'dev' says\nfor docker, podman\n" in done.output
    assert here.body(DOCKER) == CA


def test_a_stack_that_is_gone_is_forgotten_by_its_endpoint(here: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    before = here.tree()
    trust(here.machine(), KNOWN, ["docker"], yes=True)
    monkeypatch.delattr(command_line, "read_known")
    done = CliRunner().invoke(command_line.app, ["trust", "--remove", "--endpoint", f"{HOST}:5000", "--yes"])
    assert done.exit_code == 0, done.output
    assert here.tree() == before


@pytest.mark.parametrize(
    "call",
    [
        ["--for", "browser"],
        ["--address", "docker-registry"],
        ["--endpoint", "docker-registry:5000"],
        ["--remove", "--endpoint", "docker-registry"],
    ],
)
def test_a_call_that_is_wrong_exits_2_and_writes_nothing(here: Computer, call: list[str]) -> None:
    before = here.tree()
    assert CliRunner().invoke(command_line.app, ["trust", "--yes", *call]).exit_code == 2
    assert here.tree() == before


def test_every_client_that_can_be_named_is_in_the_help() -> None:
    assert command_line.CLIENTS.split("|") == [*CLIENTS, "all"]
    assert set(places.FOUND_BY) < set(CLIENTS)
