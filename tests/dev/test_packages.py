"""Debian packages are unpacked into the cache and never installed. `apt-get` and `dpkg-deb` are fakes."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from dev import packages
from dev.errors import RequirementError
from tests.dev import commands

COMMANDS = {"containerd": "containerd", "busybox": "busybox-static"}

FAKE_APT_GET = """#!/bin/sh
echo "$@" >>"$HOME/apt.log"
case "$*" in
update*) touch "$HOME/updated"; exit 0 ;;
*--simulate*) echo "Inst containerd (1.6.20 Debian:12/stable)"; exit 0 ;;
esac
if [ -e "$HOME/outdated" ] && [ ! -e "$HOME/updated" ]; then echo "E: 404 Not Found" >&2; exit 100; fi
for option; do case $option in Dir::Cache::archives=*) folder=${option#*=} ;; esac; done
touch "$folder/containerd_1.6.20_amd64.deb"
"""
"""Program that logs its arguments. If the file `outdated` exists, a download fails until `update` was called."""

FAKE_DPKG_DEB = """#!/bin/sh
mkdir -p "$3/usr/bin" "$3/bin"
touch "$3/usr/bin/containerd" "$3/bin/busybox"
chmod +x "$3/usr/bin/containerd" "$3/bin/busybox"
"""
"""Program that unpacks two commands into the folder of `--extract ARCHIVE FOLDER`."""

AddCommand = Callable[..., Path]


@pytest.fixture
def add_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AddCommand:
    """Return a function that adds a command to PATH. The home and the cache are in `tmp_path`.

    Of the machine's own commands, PATH has only those that the fakes call. The machine may have containerd.
    """
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("chmod", "mkdir", "touch"):
        (tools / tool).symlink_to(shutil.which(tool) or "")
    monkeypatch.setattr(packages, "SYSTEM_FOLDERS", ())
    variables = {"PATH": f"{tmp_path}/bin:{tools}", "HOME": str(tmp_path), "XDG_CACHE_HOME": f"{tmp_path}/cache"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return partial(commands.add_command, tmp_path)


@pytest.fixture
def fake_apt_log(add_command: AddCommand, tmp_path: Path) -> Path:
    """Add the fakes to PATH. Return the file with the arguments of each call of apt-get."""
    add_command("apt-get", FAKE_APT_GET)
    add_command("dpkg-deb", FAKE_DPKG_DEB)
    return tmp_path / "apt.log"


def test_installed_commands_are_used_without_apt(add_command: AddCommand, fake_apt_log: Path) -> None:
    installed = {command: add_command(command) for command in COMMANDS}

    provided = packages.provide_packages(COMMANDS)

    assert {command: provided.find(command) for command in COMMANDS} == installed
    assert "LD_LIBRARY_PATH" not in provided.env
    assert not fake_apt_log.exists()


def test_unpacked_commands_on_path_do_not_count_as_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell of `dev env` has them on PATH, but not the libraries that they need."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    unpacked = tmp_path / "private-registry/packages/0123/usr/sbin"
    unpacked.mkdir(parents=True)
    (unpacked / "nft").touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{unpacked}:/opt/own")
    monkeypatch.setattr(packages, "SYSTEM_FOLDERS", ())

    assert packages._search_path() == "/opt/own"
    assert not packages._is_usable("nft")


def test_apt_downloads_missing_packages_once_and_installs_nothing(fake_apt_log: Path, tmp_path: Path) -> None:
    first, second = packages.provide_packages(COMMANDS), packages.provide_packages(COMMANDS)

    assert first == second
    assert first.find("containerd").is_relative_to(tmp_path / "cache")
    modes = ["--simulate", "--download-only"]
    assert all(mode in line for mode, line in zip(modes, fake_apt_log.read_text().splitlines(), strict=True))


def test_apt_selects_versions_again_if_its_state_has_changed(
    fake_apt_log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise an update of the package lists would be without effect."""
    lists = tmp_path / "lists"
    lists.mkdir()
    monkeypatch.setattr(packages, "APT_STATE", (lists, tmp_path / "missing"))
    packages.provide_packages(COMMANDS)
    os.utime(lists, (1, 1))
    packages.provide_packages(COMMANDS)

    assert fake_apt_log.read_text().count("--simulate") == 2


def test_package_lists_are_updated_if_a_download_fails(fake_apt_log: Path, tmp_path: Path) -> None:
    (tmp_path / "outdated").touch()

    packages.provide_packages(COMMANDS)

    assert [line for line in fake_apt_log.read_text().splitlines() if line.startswith("update")] == ["update -qq"]


@pytest.mark.usefixtures("fake_apt_log")
def test_a_failed_download_is_reported_with_the_output_of_apt(add_command: AddCommand) -> None:
    add_command("apt-get", "#!/bin/sh\necho 'E: Failed to fetch deb: 404' >&2\nexit 100\n")

    with pytest.raises(RequirementError) as raised:
        packages.provide_packages(COMMANDS)

    assert raised.value.details == "E: Failed to fetch deb: 404"


def test_without_apt_the_missing_commands_are_reported(
    add_command: AddCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(add_command("containerd").parent))

    with pytest.raises(RequirementError) as raised:
        packages.provide_packages(COMMANDS)

    assert "busybox" in raised.value.cause
    assert "containerd" not in raised.value.cause
    assert "apt-get and dpkg-deb" in raised.value.cause


@pytest.mark.usefixtures("fake_apt_log")
def test_a_package_that_cannot_be_unpacked_is_reported(add_command: AddCommand) -> None:
    add_command("dpkg-deb", "#!/bin/sh\necho 'No space left on device' >&2\nexit 2\n")

    with pytest.raises(RequirementError) as raised:
        packages.provide_packages(COMMANDS)

    assert "dpkg-deb" in raised.value.cause
    assert raised.value.details == "No space left on device"


@pytest.mark.usefixtures("fake_apt_log")
def test_a_dynamically_linked_busybox_is_not_used(add_command: AddCommand) -> None:
    add_command("containerd")
    installed = add_command("busybox", "\x7fELF /lib64/ld-linux-x86-64.so.2")

    assert packages.provide_packages(COMMANDS).find("busybox") != installed
