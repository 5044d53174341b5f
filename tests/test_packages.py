"""Packages are unpacked beside the system, never into it; `apt-get` and `dpkg-deb` are stand-ins here."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dev import packages
from dev.console import Unmet

COMMANDS = {"containerd": "containerd", "busybox": "busybox-static", "host-local": "containernetworking-plugins"}

APT = """#!/bin/sh
echo "$@" >>"$HOME/apt.log"
case "$*" in
update*) touch "$HOME/updated"; exit 0 ;;
*--simulate*) echo "Inst containerd (1.6.20 Debian:12/stable)"; exit 0 ;;
esac
if [ -e "$HOME/outdated" ] && [ ! -e "$HOME/updated" ]; then echo "E: 404 Not Found" >&2; exit 100; fi
for option; do case $option in Dir::Cache::archives=*) folder=${option#*=} ;; esac; done
touch "$folder/containerd_1.6.20_amd64.deb"
"""
DPKG = """#!/bin/sh
mkdir -p "$3/usr/bin" "$3/bin" "$3/usr/lib/cni" "$3/usr/lib/x86_64-linux-gnu"
touch "$3/usr/bin/containerd" "$3/bin/busybox" "$3/usr/lib/cni/host-local" "$3/usr/lib/x86_64-linux-gnu/libnft.so.1"
chmod +x "$3/usr/bin/containerd" "$3/bin/busybox" "$3/usr/lib/cni/host-local"
"""

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a command on the PATH of a machine that has no other, and whose home is `tmp_path`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(packages, "_search_path", lambda: str(folder))

    def install(name: str, content: str = "#!/bin/sh\n") -> Path:
        command = folder / name
        command.write_text(content)
        command.chmod(0o755)
        return command

    return install


@pytest.fixture
def apt(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for apt and dpkg; the log of what apt was asked."""
    install("apt-get", APT)
    install("dpkg-deb", DPKG)
    return tmp_path / "apt.log"


def test_commands_on_path_are_used_as_they_are(install: Install, apt: Path) -> None:
    on_path = {command: install(command) for command in COMMANDS}

    provided = packages.provide(COMMANDS)

    assert {command: provided.find(command) for command in COMMANDS} == on_path
    assert "LD_LIBRARY_PATH" not in provided.env
    assert not apt.exists()


def test_in_a_shell_of_dev_env_the_unpacked_commands_do_not_pass_for_the_machines_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They need the libraries that were unpacked with them, which only their own environment names."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    unpacked = tmp_path / "private-registry/packages/0123/usr/sbin"
    unpacked.mkdir(parents=True)
    (unpacked / "nft").touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{unpacked}:/opt/own")
    monkeypatch.setattr(packages, "SYSTEM_FOLDERS", ())

    assert packages._search_path() == "/opt/own"
    assert not packages._fits("nft")


def test_missing_commands_are_unpacked_into_the_cache(apt: Path, tmp_path: Path) -> None:
    provided = packages.provide(COMMANDS)

    assert provided.root.parent == tmp_path / "cache/private-registry/packages"
    assert provided.find("containerd") == provided.root / "usr/bin/containerd"
    assert provided.find("host-local") == provided.root / "usr/lib/cni/host-local"
    assert provided.env["LD_LIBRARY_PATH"].startswith(str(provided.root / "usr/lib/x86_64-linux-gnu"))
    assert str(provided.root / "usr/bin") in provided.env["PATH"].split(":")


def test_apt_only_ever_plans_and_downloads(apt: Path) -> None:
    packages.provide(COMMANDS)

    asked = apt.read_text().splitlines()
    assert len(asked) == 2
    assert all("--simulate" in line or "--download-only" in line for line in asked)


def test_the_same_versions_are_fetched_once(apt: Path) -> None:
    first, second = packages.provide(COMMANDS), packages.provide(COMMANDS)

    assert first == second
    assert apt.read_text().count("--download-only") == 1


def test_other_versions_get_a_folder_of_their_own(install: Install, apt: Path) -> None:
    before = packages.provide(COMMANDS)
    install("apt-get", APT.replace("1.6.20", "1.6.21"))

    assert packages.provide(COMMANDS).root != before.root


def test_package_lists_are_updated_only_when_they_are_too_old(apt: Path, tmp_path: Path) -> None:
    (tmp_path / "outdated").touch()

    packages.provide(COMMANDS)

    assert [line for line in apt.read_text().splitlines() if line.startswith("update")] == ["update -qq"]


def test_a_download_that_cannot_be_had_says_why_in_one_line(install: Install, apt: Path) -> None:
    install("apt-get", "#!/bin/sh\necho 'E: Failed to fetch deb: 404' >&2\nexit 100\n")

    with pytest.raises(Unmet, match="Failed to fetch deb: 404") as unmet:
        packages.provide(COMMANDS)

    assert "\n" not in str(unmet.value)


def test_without_apt_the_missing_commands_are_named(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("busybox")
    monkeypatch.setenv("PATH", str(install("containerd").parent))

    with pytest.raises(Unmet, match=r"^host-local: not found.*KUBECONFIG"):
        packages.provide(COMMANDS)


def test_a_dynamic_busybox_is_not_what_an_image_can_be_made_of(install: Install, apt: Path) -> None:
    for command in COMMANDS:
        install(command)
    on_path = install("busybox", "\x7fELF /lib64/ld-linux-x86-64.so.2")

    assert packages.provide(COMMANDS).find("busybox") != on_path


def test_a_command_that_no_package_brought_is_named(apt: Path) -> None:
    with pytest.raises(Unmet, match="`nft` is missing: install the package nftables"):
        packages.provide(COMMANDS).find("nft")
