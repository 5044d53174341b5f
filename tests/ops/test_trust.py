"""`ops trust` writes the files of each client and changes no other file. `--remove` restores every file and folder."""

import json
import os
import ssl
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ops import __main__ as command_line
from ops import stack
from ops.errors import CommandError
from ops.stack import Endpoint, PublicOutputs
from ops.trust import CLIENTS, apply, clients, hosts, install, marker, uninstall
from ops.trust import machine as machines
from ops.trust.machine import Machine
from tests.conftest import certificate_of
from tests.issuing import CertificateSpec, issue

HOST = "docker-registry"
CA, NEXT = certificate_of("old"), certificate_of("next")
REGISTRY = PublicOutputs(f"{HOST}:5000", CA, ("192.168.56.10",))
HTTPS_REGISTRY = PublicOutputs("registry.example.com:443", NEXT, ("203.0.113.10",))
DOCKER = f"etc/docker/certs.d/{HOST}:5000/ca.crt"
ANCHORS = "usr/local/share/ca-certificates"
HOSTS = "127.0.0.1 localhost\n"
LINE = f"192.168.56.10 {HOST} # written by `python -m ops trust` for {HOST}:5000"


@dataclass
class Computer:
    """A fake machine whose root is a folder.

    `programs` are on its PATH, `names` has the addresses of its DNS by name, and `commands` has the commands that
    `ops trust` ran.
    """

    root: Path
    programs: Sequence[str] = ("docker",)
    names: dict[str, list[str]] = field(default_factory=dict)
    commands: list[Sequence[str]] = field(default_factory=list)

    def machine(self, **changes: Any) -> Machine:
        home = PurePosixPath("/home/jean")
        machine = Machine(
            root=self.root,
            home=home,
            config=home / ".config",
            is_root=True,
            command_line="python -m ops trust",
            which=lambda program: f"/usr/bin/{program}" if program in self.programs else None,
            resolve=self.resolve,
            run=self.commands.append,
            ask=None,
        )
        return replace(machine, **changes)

    def resolve(self, name: str) -> list[str]:
        """Look the name up in /etc/hosts, then in DNS."""
        file = self.root / "etc/hosts"
        lines = file.read_bytes().decode().splitlines() if file.exists() else []
        listed = [line.split()[0] for line in lines if name in line.partition("#")[0].split()[1:]]
        return listed or self.names.get(name, [])

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
        return file

    def tree(self) -> dict[str, tuple[int, bytes | None]]:
        """Return mode and content of every file and folder."""
        return {
            str(path.relative_to(self.root)): (path.stat().st_mode, path.read_bytes() if path.is_file() else None)
            for path in sorted(self.root.rglob("*"))
        }

    def body(self, path: str) -> str:
        """Return the text after the marker of a file."""
        file = marker.parse_file((self.root / path).read_text())
        assert file, f"{path} has no marker."
        return file.body


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    computer = Computer(tmp_path)
    computer.write("etc/hosts", HOSTS)
    return computer


def statuses(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Return the status that was printed for each file, by path."""
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    return {row[1]: row[0] for row in rows if len(row) > 1 and row[1].startswith("/")}


def new_files(computer: Computer, before: dict[str, Any]) -> set[str]:
    """Return the paths of files that are not in `before`, an earlier tree."""
    return {path for path, (_, content) in computer.tree().items() if content is not None and path not in before}


FOLDER = f"certs.d/{HOST}:5000"
CLIENT_FILES: list[tuple[str, bool, set[str]]] = [
    ("docker", True, {DOCKER}),
    ("podman", True, {f"etc/containers/{FOLDER}/ca.crt"}),
    ("skopeo", True, {f"etc/containers/{FOLDER}/ca.crt"}),
    ("podman", False, {f"home/jean/.config/containers/{FOLDER}/ca.crt"}),
    ("containerd", True, {f"etc/containerd/{FOLDER}/ca.crt", f"etc/containerd/{FOLDER}/hosts.toml"}),
    ("python", False, {f"home/jean/.config/private-registry/{HOST}-5000.pem"}),
]
"""Client, whether the user is root, and the files that are written."""


@pytest.mark.parametrize(("client", "is_root", "paths"), CLIENT_FILES)
def test_each_client_has_the_ca_in_its_files(computer: Computer, client: str, is_root: bool, paths: set[str]) -> None:
    before = computer.tree()
    install(computer.machine(is_root=is_root), REGISTRY, [client], yes=True)
    assert new_files(computer, before) == paths
    for path in paths:
        assert (computer.root / path).stat().st_mode & 0o777 == 0o644
        assert (computer.root / path).parent.stat().st_mode & 0o777 == 0o755
        if path.endswith("ca.crt"):
            assert computer.body(path) == CA


def test_a_registry_on_port_443_has_a_folder_with_and_one_without_the_port(computer: Computer) -> None:
    before = computer.tree()
    install(computer.machine(), HTTPS_REGISTRY, ["docker"], yes=True)
    assert new_files(computer, before) == {
        f"etc/docker/certs.d/{name}/ca.crt" for name in ("registry.example.com", "registry.example.com:443")
    }


def test_hosts_toml_allows_pushes_and_names_the_ca(computer: Computer) -> None:
    install(computer.machine(), REGISTRY, ["containerd"], yes=True)
    read = tomllib.loads((computer.root / f"etc/containerd/{FOLDER}/hosts.toml").read_text())
    ca = f"/etc/containerd/{FOLDER}/ca.crt"
    assert read == {"server": f"https://{HOST}:5000", "capabilities": ["pull", "resolve", "push"], "ca": ca}


@pytest.mark.parametrize(
    ("program", "present", "anchors"),
    [
        ("update-ca-certificates", "etc/ca-certificates.conf", ANCHORS),
        ("update-ca-trust", "etc/pki/ca-trust/source/README", "etc/pki/ca-trust/source/anchors"),
    ],
)
def test_the_system_store_has_a_file_for_each_certificate_and_is_rebuilt(
    computer: Computer, program: str, present: str, anchors: str
) -> None:
    computer.write(present, "")
    computer.programs = (program,)
    before = computer.tree()
    install(computer.machine(), replace(REGISTRY, ca_pem=CA + NEXT), ["system"], yes=True)
    files = new_files(computer, before)
    assert {computer.body(path) for path in files} == {CA, NEXT}
    assert {str(Path(path).parent) for path in files} == {anchors}
    assert all(path.endswith(".crt") for path in files)
    assert computer.commands == [(program,)]


def test_a_replaced_ca_is_removed_from_the_system_store_and_other_cas_stay(computer: Computer) -> None:
    computer.programs = ("update-ca-certificates",)
    computer.write("etc/ca-certificates.conf", "")
    neighbour = computer.write(f"{ANCHORS}/proxy.crt", CA)
    install(computer.machine(), replace(REGISTRY, ca_pem=CA + NEXT), ["system"], yes=True)
    install(computer.machine(), replace(REGISTRY, ca_pem=NEXT), ["system"], yes=True)
    ours = [path for path in (computer.root / ANCHORS).iterdir() if path != neighbour]
    assert [computer.body(str(path.relative_to(computer.root))) for path in ours] == [NEXT]
    assert computer.commands[-1] == ("update-ca-certificates", "--fresh"), "Links to removed CAs are removed too."
    assert neighbour.read_text() == CA


def test_the_system_store_is_not_rebuilt_if_its_bundle_has_the_ca(computer: Computer) -> None:
    computer.programs = ("update-ca-certificates",)
    computer.write("etc/ca-certificates.conf", "")
    install(computer.machine(), REGISTRY, ["system"], yes=True)
    install(computer.machine(), REGISTRY, ["system"], yes=True)
    assert len(computer.commands) == 2, "The bundle lacks the CA, like after an interruption."
    computer.write("etc/ssl/certs/ca-certificates.crt", f"{NEXT}# Another CA\n{CA}")
    install(computer.machine(), REGISTRY, ["system"], yes=True)
    assert len(computer.commands) == 2


def test_removal_rebuilds_the_system_store_and_a_dry_run_does_not(computer: Computer) -> None:
    computer.programs = ("update-ca-certificates",)
    computer.write("etc/ca-certificates.conf", "")
    (computer.root / ANCHORS).mkdir(parents=True)
    before = computer.tree()
    install(computer.machine(), REGISTRY, ["system"], dry_run=True)
    assert computer.commands == []
    install(computer.machine(), REGISTRY, ["system"], yes=True)
    uninstall(computer.machine(), REGISTRY, [], dry_run=True)
    assert computer.commands == [("update-ca-certificates",)]
    uninstall(computer.machine(), REGISTRY, [], yes=True)
    assert computer.commands[1:] == [("update-ca-certificates", "--fresh")]
    assert computer.tree() == before


def test_an_unsupported_system_store_is_an_error(computer: Computer) -> None:
    before = computer.tree()
    with pytest.raises(CommandError) as error:
        install(computer.machine(), REGISTRY, ["docker", "system"], yes=True)
    assert "update-ca-certificates or update-ca-trust" in error.value.cause
    assert "--for" in error.value.remedy
    assert computer.tree() == before


def test_the_bundle_for_python_has_the_trusted_cas_and_that_of_the_registry(
    computer: Computer, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = f"home/jean/.config/private-registry/{HOST}-5000.pem"
    install(computer.machine(), REGISTRY, ["python"], yes=True)
    assert computer.body(bundle) == machines.read_public_cas().rstrip() + "\n" + CA
    assert f"export REQUESTS_CA_BUNDLE=/{bundle} SSL_CERT_FILE=/{bundle}\n" in capsys.readouterr().out
    computer.write("etc/ssl/certs/ca-certificates.crt", NEXT)
    install(computer.machine(), REGISTRY, ["python"], yes=True)
    assert computer.body(bundle) == NEXT + CA, "The bundle of the system is used, with the CAs that were added to it."


def test_installed_container_clients_are_configured_by_default(
    computer: Computer, capsys: pytest.CaptureFixture[str]
) -> None:
    computer.programs = ("dockerd", "update-ca-certificates", "python3")
    computer.write("etc/containerd/config.toml", "")
    install(computer.machine(), REGISTRY, [], yes=True)
    assert "for docker, containerd" in capsys.readouterr().out
    assert not (computer.root / ANCHORS).exists(), "A CA in the system store is trusted for every name."


def test_a_machine_without_a_client_is_an_error_that_lists_the_clients(computer: Computer) -> None:
    computer.programs = ()
    with pytest.raises(CommandError) as error:
        install(computer.machine(), REGISTRY, [])
    assert "--for" in error.value.remedy
    assert ", ".join(CLIENTS) in error.value.remedy


@pytest.mark.parametrize("client", ["docker", "containerd", "python"])
def test_no_file_is_written_if_an_unmanaged_file_is_in_the_way(computer: Computer, client: str) -> None:
    path = next(iter(CLIENTS[client](REGISTRY, computer.machine()))).path
    computer.write(str(path).lstrip("/"), NEXT)
    before = computer.tree()
    with pytest.raises(CommandError, match=str(path)):
        install(computer.machine(), REGISTRY, ["podman", client], yes=True)
    assert computer.tree() == before


def test_a_file_for_another_registry_is_not_overwritten(computer: Computer) -> None:
    computer.write(DOCKER, marker.format_file(marker.MarkedFile("other:5000", 0, CA)))
    with pytest.raises(CommandError, match="other:5000"):
        install(computer.machine(), REGISTRY, ["docker"], yes=True)


def test_an_unmanaged_file_with_the_same_content_is_kept(
    computer: Computer, capsys: pytest.CaptureFixture[str]
) -> None:
    computer.write(DOCKER, CA + "\n")
    computer.write("etc/hosts", f"{HOSTS}192.168.56.10 {HOST}\n")
    before = computer.tree()
    install(computer.machine(), REGISTRY, ["docker"], yes=True)
    assert statuses(capsys) == {f"/{DOCKER}": "same", "/etc/hosts": "same"}
    uninstall(computer.machine(), REGISTRY, [], yes=True)
    assert computer.tree() == before
    assert statuses(capsys)[f"/{DOCKER}"] == "kept"


def test_a_second_run_writes_nothing(computer: Computer, capsys: pytest.CaptureFixture[str]) -> None:
    install(computer.machine(), REGISTRY, ["docker", "python"], yes=True)
    times = {path: path.stat().st_mtime_ns for path in computer.root.rglob("*")}
    capsys.readouterr()
    install(computer.machine(), REGISTRY, ["docker", "python"])
    assert set(statuses(capsys).values()) == {"same"}
    assert {path: path.stat().st_mtime_ns for path in computer.root.rglob("*")} == times


def test_a_new_ca_replaces_the_old_one(computer: Computer, capsys: pytest.CaptureFixture[str]) -> None:
    install(computer.machine(), REGISTRY, ["docker"], yes=True)
    capsys.readouterr()
    install(computer.machine(), replace(REGISTRY, ca_pem=NEXT), ["docker"], yes=True)
    assert f"changed  /{DOCKER}" in capsys.readouterr().out
    assert computer.body(DOCKER) == NEXT


def test_a_dry_run_prints_every_change_and_writes_nothing(
    computer: Computer, capsys: pytest.CaptureFixture[str]
) -> None:
    before = computer.tree()
    install(computer.machine(), REGISTRY, ["docker"], dry_run=True)
    output = capsys.readouterr().out
    rows = [line.split(maxsplit=2) for line in output.splitlines()]
    assert ["new", f"/{DOCKER}"] in rows
    assert ["changed", "/etc/hosts"] in [row[:2] for row in rows]
    assert f"192.168.56.10 {HOST}" in output
    assert "--dry-run" in output
    assert computer.tree() == before


@pytest.mark.parametrize("answer", [None, False], ids=["no terminal", "no"])
def test_no_file_is_written_without_a_terminal_or_if_the_user_answers_no(
    computer: Computer, answer: bool | None
) -> None:
    before = computer.tree()
    ask: Callable[[str], bool] | None = None if answer is None else lambda _: False
    with pytest.raises(CommandError) as error:
        install(computer.machine(ask=ask), REGISTRY, ["docker"])
    assert ("--yes" in error.value.remedy) == (answer is None)
    assert computer.tree() == before


def test_the_files_are_written_if_the_user_answers_yes(computer: Computer) -> None:
    install(computer.machine(ask=lambda _: True), REGISTRY, ["docker"])
    assert computer.body(DOCKER) == CA


def test_no_file_is_written_without_permission_and_the_remedy_is_sudo(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = computer.tree()
    etc = str(computer.root / "etc")
    monkeypatch.setattr(os, "access", lambda path, mode: mode & os.W_OK == 0 or not str(path).startswith(etc))
    with pytest.raises(CommandError) as error:
        install(computer.machine(is_root=False), REGISTRY, ["podman", "docker"], yes=True)
    assert f"/{DOCKER}" in error.value.cause
    assert '`sudo -E env "PATH=$PATH" python -m ops trust`' in error.value.remedy
    assert computer.tree() == before
    install(computer.machine(is_root=False), REGISTRY, ["podman"], yes=True)
    assert computer.tree().keys() > before.keys(), "Files in the home directory need no sudo."


def test_a_full_disk_leaves_everything_unchanged(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    before, write_temporary = computer.tree(), apply._write_temporary

    def fail(path: Path, text: str) -> Path:
        if path.name == "hosts":
            raise OSError(28, "No space left on device", str(path))
        return write_temporary(path, text)

    monkeypatch.setattr(apply, "_write_temporary", fail)
    with pytest.raises(CommandError, match="No space left on device"):
        install(computer.machine(), REGISTRY, ["docker", "containerd"], yes=True)
    assert computer.tree() == before


def test_a_stack_without_a_ca_is_an_error(computer: Computer) -> None:
    with pytest.raises(CommandError, match=f"{HOST}:5000"):
        install(computer.machine(), replace(REGISTRY, ca_pem=""), ["docker"], yes=True)


def hosts_of(computer: Computer) -> str:
    return (computer.root / "etc/hosts").read_text()


class HostsCase(NamedTuple):
    """A line in /etc/hosts that is needed or not.

    Attributes:
        before: /etc/hosts before the command.
        after: /etc/hosts after it.
        status: Status that is printed for the file.
        note: Part of the note that is printed for the file.
        names: Addresses by name in DNS.
        addresses: Addresses of the stack.
    """

    before: str
    after: str
    status: str
    note: str
    names: Mapping[str, list[str]] = {}
    addresses: tuple[str, ...] = ("192.168.56.10",)


OLD_LINE = LINE.replace("56.10", "56.9")
HOSTS_CASES = {
    "unknown": HostsCase(HOSTS, f"{HOSTS}{LINE}\n", "changed", f"192.168.56.10 {HOST}"),
    "no line break": HostsCase(HOSTS.rstrip(), f"{HOSTS}{LINE}", "changed", f"192.168.56.10 {HOST}"),
    "in DNS": HostsCase(HOSTS, HOSTS, "same", "192.168.56.10", names={HOST: ["192.168.56.10"]}),
    "elsewhere": HostsCase(HOSTS, HOSTS, "kept", "10.0.0.1", names={HOST: ["10.0.0.1"]}),
    "no address": HostsCase(HOSTS, HOSTS, "kept", "--address IP", addresses=()),
    "unmanaged": HostsCase(f"10.0.0.1 {HOST}\n", f"10.0.0.1 {HOST}\n", "kept", "10.0.0.1"),
    "moved": HostsCase(f"{OLD_LINE}\n{HOSTS}", f"{LINE}\n{HOSTS}", "changed", f"192.168.56.10 {HOST}"),
}


@pytest.mark.parametrize("case", HOSTS_CASES)
def test_the_line_in_hosts_depends_on_the_address_that_the_name_has(
    computer: Computer, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    before, after, status, note, names, addresses = HOSTS_CASES[case]
    computer.write("etc/hosts", before)
    computer.names = dict(names)
    install(computer.machine(), replace(REGISTRY, addresses=addresses), ["docker"], yes=True)
    assert hosts_of(computer) == after
    output = capsys.readouterr().out
    (row,) = [line.split(maxsplit=2) for line in output.splitlines() if " /etc/hosts " in line]
    assert row[0] == status
    assert note in row[2]


def test_the_address_option_replaces_the_addresses_of_the_stack(computer: Computer) -> None:
    install(computer.machine(), REGISTRY, ["docker"], address="192.168.56.11", yes=True)
    assert LINE.replace("56.10", "56.11") in hosts_of(computer)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [(HOSTS, "sudo tee -a /etc/hosts"), (f"{OLD_LINE}\n{HOSTS}", "sudo -E")],
    ids=["no line", "old address"],
)
def test_a_hosts_file_without_permission_is_kept_with_a_remedy(
    computer: Computer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, remedy: str
) -> None:
    """The file is read from the top, so a second line for the name would have no effect."""
    computer.write("etc/hosts", text)
    monkeypatch.setattr(Machine, "may_write", lambda _, path: path != hosts.PATH)
    install(computer.machine(is_root=False), REGISTRY, ["podman"], yes=True)
    assert hosts_of(computer) == text
    (row,) = [line for line in capsys.readouterr().out.splitlines() if " /etc/hosts " in line]
    assert row.startswith("kept ")
    assert remedy in row


def test_a_mounted_hosts_file_is_written_in_place(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_file = Path.replace

    def busy(path: Path, target: Path) -> Path:
        if target.name == "hosts":
            raise OSError(16, "Device or resource busy", str(target))
        return replace_file(path, target)

    monkeypatch.setattr(Path, "replace", busy)
    install(computer.machine(), REGISTRY, ["docker"], yes=True)
    assert hosts_of(computer) == f"{HOSTS}{LINE}\n"
    assert sorted(path.name for path in (computer.root / "etc").iterdir()) == ["docker", "hosts"]


def test_a_hosts_file_that_is_a_link_stays_a_link(computer: Computer) -> None:
    text = computer.write("run/hosts", HOSTS)
    (computer.root / "etc/hosts").unlink()
    (computer.root / "etc/hosts").symlink_to("../run/hosts")
    install(computer.machine(), REGISTRY, ["docker"], yes=True)
    assert text.read_text() == f"{HOSTS}{LINE}\n"
    uninstall(computer.machine(), REGISTRY, [], yes=True)
    assert (computer.root / "etc/hosts").is_symlink()
    assert text.read_text() == HOSTS


def test_the_line_in_hosts_is_removed_with_the_last_client(computer: Computer) -> None:
    install(computer.machine(), REGISTRY, ["docker", "podman"], yes=True)
    uninstall(computer.machine(), REGISTRY, ["docker"], yes=True)
    assert LINE in hosts_of(computer)
    uninstall(computer.machine(), REGISTRY, [], yes=True)
    assert hosts_of(computer) == HOSTS


def test_two_registries_of_one_host_have_a_line_each(computer: Computer) -> None:
    install(computer.machine(), REGISTRY, ["docker"], yes=True)
    install(computer.machine(), replace(REGISTRY, endpoint=f"{HOST}:5001"), ["docker"], yes=True)
    uninstall(computer.machine(), REGISTRY, [], yes=True)
    assert hosts_of(computer) == f"{HOSTS}{LINE.replace(':5000', ':5001')}\n"


def test_openssl_ignores_the_marker_in_front_of_the_ca(computer: Computer) -> None:
    """The tests on the cluster cover Go, as Docker reads the file there."""
    install(computer.machine(), replace(REGISTRY, ca_pem=issue(CertificateSpec()).pem), ["docker"], yes=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=computer.root / DOCKER)
    assert len(context.get_ca_certs()) == 1


def test_a_link_from_the_folder_of_one_client_to_that_of_another_is_kept(computer: Computer) -> None:
    (computer.root / "etc/docker/certs.d").mkdir(parents=True)
    (computer.root / "etc/containers").mkdir()
    (computer.root / "etc/containers/certs.d").symlink_to("../docker/certs.d")
    before = computer.tree()
    install(computer.machine(), REGISTRY, ["docker", "podman"], yes=True)
    assert (computer.root / "etc/containers/certs.d").is_symlink()
    assert computer.body(DOCKER) == CA
    uninstall(computer.machine(), REGISTRY, [], yes=True)
    assert computer.tree() == before


CONTENTS = {
    "etc/docker/daemon.json": "{}",
    "etc/docker/certs.d/other:5000/ca.crt": NEXT,
    f"etc/docker/certs.d/{HOST}:5000/client.cert": "unmanaged",
    DOCKER: CA,
    f"{ANCHORS}/proxy.crt": NEXT,
    "etc/containers/registries.conf": "",
    f"home/jean/.config/containers/certs.d/{HOST}:5000/ca.crt": f"\n{CA}",
    "home/jean/.config/settings": "",
    "etc/containerd/config.toml": "",
}
"""Unmanaged files that a machine may have."""

HOSTS_FILES = st.sampled_from(
    ["", HOSTS, HOSTS.rstrip(), "\n\n# comment\r\n10.0.0.1 docker-registry\r\n", "\n", f"10.9.9.9 x{HOST}"]
)
CLIENT_LISTS = st.lists(st.sampled_from(list(CLIENTS)), min_size=1, unique=True)


@given(
    st.sets(st.sampled_from(list(CONTENTS))),
    HOSTS_FILES,
    st.booleans(),
    st.lists(
        st.tuples(
            st.sampled_from([REGISTRY, HTTPS_REGISTRY, replace(REGISTRY, endpoint=f"{HOST}:5001")]), CLIENT_LISTS
        ),
        max_size=4,
    ),
    st.randoms(use_true_random=False),
)
def test_removal_restores_every_file_and_folder(
    unmanaged: set[str], text: str, is_root: bool, calls: list[tuple[PublicOutputs, list[str]]], random: Any
) -> None:
    """The test draws unmanaged files and registries in any order, with a new CA in between."""
    with tempfile.TemporaryDirectory() as folder:
        computer = Computer(Path(folder), programs=("update-ca-certificates",))
        for path in sorted(unmanaged):
            computer.write(path, CONTENTS[path])
        computer.write("etc/hosts", text)
        computer.write("etc/ca-certificates.conf", "")
        before = computer.tree()
        machine = computer.machine(is_root=is_root)
        for registry, names in calls:
            install(machine, registry, names, yes=True)
            if registry.endpoint != f"{HOST}:5000":
                install(machine, replace(registry, ca_pem=CA + NEXT), names, yes=True)
        endpoints = list(dict.fromkeys(registry.endpoint for registry, _ in calls))
        random.shuffle(endpoints)
        for endpoint in endpoints:
            uninstall(machine, Endpoint(endpoint), [], yes=True)
        assert computer.tree() == before


def test_the_removal_of_the_line_restores_any_text() -> None:
    for text in ("", "\n", "a", "a\n", "a\n\n", "a\r\nb"):
        assert hosts.remove_line(hosts.add_line(text, REGISTRY, "10.0.0.1"), REGISTRY) == text


def test_public_outputs_are_read_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {
        "endpoint": REGISTRY.endpoint,
        "ca_pem": "[secret]",
        "password": "[secret]",
        "addresses": ["192.168.56.10"],
    }
    commands: list[tuple[str, ...]] = []

    def pulumi(*command: str) -> str:
        commands.append(command)
        return json.dumps(CA if "--show-secrets" in command else outputs)

    monkeypatch.setattr(stack, "pulumi", pulumi)
    assert stack.read_public_outputs("dev") == REGISTRY
    assert [command[2] for command in commands if "--show-secrets" in command] == ["ca_pem"]


def test_a_stack_of_an_older_version_has_no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "pulumi", lambda *_: json.dumps({"endpoint": REGISTRY.endpoint, "ca_pem": CA}))
    assert stack.read_public_outputs("dev") == replace(REGISTRY, addresses=())


@pytest.fixture
def local_computer(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> Computer:
    """Make the computer the machine of the command line."""
    monkeypatch.setattr(machines, "describe_machine", lambda _: computer.machine())
    monkeypatch.setattr(command_line, "read_public_outputs", lambda _: REGISTRY)
    return computer


def test_the_command_prints_stack_and_registry_and_accepts_several_clients(local_computer: Computer) -> None:
    result = CliRunner().invoke(command_line.app, ["trust", "--for", "docker", "--for", "podman", "--yes"])
    assert result.exit_code == 0, result.output
    assert f"{HOST}:5000" in result.output
    assert "'dev'" in result.output
    assert "for docker, podman\n" in result.output
    assert local_computer.body(DOCKER) == CA


def test_a_registry_without_its_stack_is_removed_by_its_endpoint(
    local_computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = local_computer.tree()
    install(local_computer.machine(), REGISTRY, ["docker"], yes=True)
    monkeypatch.delattr(command_line, "read_public_outputs")
    result = CliRunner().invoke(command_line.app, ["trust", "--remove", "--endpoint", f"{HOST}:5000", "--yes"])
    assert result.exit_code == 0, result.output
    assert local_computer.tree() == before


@pytest.mark.parametrize(
    "call",
    [
        ["--for", "browser"],
        ["--address", "docker-registry"],
        ["--endpoint", "docker-registry:5000"],
        ["--remove", "--endpoint", "docker-registry"],
    ],
)
def test_a_wrong_call_exits_2_and_writes_nothing(local_computer: Computer, call: list[str]) -> None:
    before = local_computer.tree()
    assert CliRunner().invoke(command_line.app, ["trust", "--yes", *call]).exit_code == 2
    assert local_computer.tree() == before


def test_the_help_lists_every_client() -> None:
    assert command_line.CLIENTS.split("|") == [*CLIENTS, "all"]
    assert set(clients.DETECTED_BY) < set(CLIENTS)
