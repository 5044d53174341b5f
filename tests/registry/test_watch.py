"""The program that runs the proxy: it reloads HAProxy if its files change, and stops it. HAProxy is a fake here."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from registry.access import WATCH_SCRIPT
from registry.access import __file__ as package

HAPROXY = f"""#!{sys.executable}
import os, signal, sys
if "-c" in sys.argv:
    is_broken = "broken" in open("haproxy.cfg").read()
    if is_broken:
        open("refused", "w").close()
    sys.exit(is_broken)
def write(event):
    with open("events", "a") as file:
        file.write(event + "\\n")
def stop(number, _):
    write(signal.Signals(number).name)
    if number == signal.SIGUSR1 and os.path.exists("open-request"):
        return
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        os._exit(3)
signal.signal(signal.SIGUSR2, lambda *_: write("reload"))
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGUSR1, stop)
with open("pid", "w") as file:
    file.write(str(os.getpid()))
write("start")
while True:
    signal.pause()
"""
"""Fake of HAProxy. It writes its signals to `events`, and `refused` if it checks a broken configuration.

Like HAProxy, it ends only after all of its children have ended.
"""

DF = f"""#!{sys.executable}
import sys
with open("looks", "a") as file:
    file.write("x")
kind = "inodes" if "-i" in sys.argv else "space"
print("Filesystem 1024-blocks Used Available Capacity Mounted on")
print("/dev/vda 1000 500 500", open(kind).read().strip(), "/images")
"""
"""Fake of `df -P`. The used percent are in the files `space` and `inodes`. Each call adds a character to `looks`."""

SLEEP = """#!/bin/sh
[ "$1" != 1 ] || exec /bin/sleep 0.1
exec /bin/sleep "$@"
"""
"""`sleep` with a tenth of the second between two checks of the files."""

LONGEST_WAIT = 60
"""Seconds until a test fails, on a machine of any load. The program itself acts within a second or two."""

FILES = ("haproxy.cfg", "certificate.pem", "logins.map", "hashes.map")


@contextmanager
def run(
    folder: Path, variables: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], list[str]]]]:
    """Run the program with a fake HAProxy. Yield its process, and a function that returns the fake's events."""
    for name in FILES:
        (folder / name).write_text("content")
    (folder / "bin").mkdir()
    for name, script in (("haproxy", HAPROXY), ("df", DF), ("sleep", SLEEP)):
        (folder / "bin" / name).write_text(script)
        (folder / "bin" / name).chmod(0o755)
    (folder / WATCH_SCRIPT).write_text(Path(package).with_name(WATCH_SCRIPT).read_text())
    (folder / "events").touch()
    path = f"{folder / 'bin'}:/usr/bin:/bin"
    command = ["sh", str(folder / WATCH_SCRIPT)]
    environment = {"PATH": path, "DRAIN_SECONDS": str(LONGEST_WAIT), **(variables or {})}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            yield process, lambda: (folder / "events").read_text().split()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LONGEST_WAIT
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


def expect(events: Callable[[], list[str]], expected: list[str]) -> None:
    """Wait until the fake has these events."""
    end = time.monotonic() + LONGEST_WAIT
    while events() != expected and time.monotonic() < end:
        time.sleep(0.02)
    assert events() == expected


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_signal_of_the_container_runtime_stops_haproxy_softly(tmp_path: Path, name: str) -> None:
    """The official image asks for SIGUSR1, and others get SIGTERM. HAProxy finishes its requests after SIGUSR1."""
    with run(tmp_path) as (process, events):
        expect(events, ["start"])
        process.send_signal(signal.Signals[name])
        assert process.wait(LONGEST_WAIT) == 3, "the status of HAProxy"
        assert events() == ["start", "SIGUSR1"]


def test_haproxy_is_ended_after_the_drain_seconds_if_a_request_is_open(tmp_path: Path) -> None:
    with run(tmp_path, {"DRAIN_SECONDS": "1"}) as (process, events):
        expect(events, ["start"])
        (tmp_path / "open-request").touch()
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONGEST_WAIT) == 3, "the status of HAProxy"
        assert events() == ["start", "SIGUSR1", "SIGTERM"]


def test_a_renewed_certificate_in_a_secret_of_its_own_is_loaded(tmp_path: Path) -> None:
    certificate, key = tmp_path / "live/tls.crt", tmp_path / "live/tls.key"
    certificate.parent.mkdir()
    for file in (certificate, key):
        file.write_text("first")
    with run(tmp_path, {"CERTIFICATE": str(certificate)}) as (_, events):
        expect(events, ["start"])
        certificate.write_text("second")
        expect(events, ["start", "reload"])
        key.write_text("second")
        expect(events, ["start", "reload", "reload"])


def test_a_changed_file_is_loaded_if_the_configuration_is_valid(tmp_path: Path) -> None:
    with run(tmp_path) as (_, events):
        expect(events, ["start"])
        (tmp_path / "logins.map").write_text("another user")
        expect(events, ["start", "reload"])
        (tmp_path / "haproxy.cfg").write_text("broken")
        wait_until((tmp_path / "refused").exists)
        assert events() == ["start", "reload"]
        (tmp_path / "haproxy.cfg").write_text("content again")
        expect(events, ["start", "reload", "reload"])


def test_the_program_ends_if_haproxy_ends(tmp_path: Path) -> None:
    """The kubelet then starts the container again."""
    with run(tmp_path) as (process, events):
        expect(events, ["start"])
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        assert process.wait(LONGEST_WAIT) == 128 + signal.SIGKILL


@pytest.mark.parametrize("kind", ["space", "inodes"])
def test_pushes_stop_below_min_free_and_go_on_when_one_percent_more_is_free(tmp_path: Path, kind: str) -> None:
    state = tmp_path / "storage.map"
    (tmp_path / "space").write_text("50%")
    (tmp_path / "inodes").write_text("-")  # some file systems count no inodes
    looks = tmp_path / "looks"
    with run(tmp_path, {"MIN_FREE": "10", "STORAGE": "/images", "STORAGE_STATE": str(state)}) as (_, events):
        expect(events, ["start"])
        assert state.read_text() == "storage ok\n"
        (tmp_path / kind).write_text("91%")
        expect(events, ["start", "reload"])
        assert state.read_text() == "storage full\n"
        (tmp_path / kind).write_text("90%")
        before = looks.stat().st_size
        # Two calls may have begun before the change, and up to two belong to each of the next two rounds.
        wait_until(lambda: looks.stat().st_size >= before + 6)
        assert events() == ["start", "reload"], "Pushes do not stop and go on every second."
        (tmp_path / kind).write_text("89%")
        expect(events, ["start", "reload", "reload"])
        assert state.read_text() == "storage ok\n"


def test_without_min_free_the_storage_is_not_watched(tmp_path: Path) -> None:
    with run(tmp_path) as (_, events):
        expect(events, ["start"])
        assert not (tmp_path / "storage.map").exists()
