"""Cut the power of a machine, and change its clock, while clients push to its registry.

Only a real kernel loses data that it has not written to the disk yet, and no other machine may lose its time.
"""

import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dev.environment import PROJECT
from dev.packages import provide_packages
from dev.toolchain.build import build_program
from tests.e2e import pushers
from tests.e2e.drills.guest import Guest
from tests.e2e.drills.traffic import FULL, Results, images_of, refusals
from tests.e2e.lab import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.drill]

CUTS = 25 if FULL else 2

JUMPS = (1, -1, -1, 1)
"""Hours to set the clock forward or back."""

PUSHES_PER_JUMP = 20 if FULL else 3


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    busybox = provide_packages({"busybox": "busybox-static"}).find("busybox")
    created = Guest(tmp_path, build_program("registry") / "registry", busybox)
    try:
        yield created
    finally:
        created.cut_power()


def job(guest: Guest, task: str, **more: Any) -> str:
    """Return a job of pushers.py for the guest, whose registry has neither TLS nor users."""
    fields = {"address": ["127.0.0.1", guest.port], "host": "127.0.0.1", "ca": "", "login": ""}
    counts = {"pushers": 2, "pullers": 1, "pause": 0.02, "size": 30_000, "outages": task == "load"}
    return json.dumps({"task": task, **fields, **counts, **more}) + "\n"


@contextmanager
def clients(guest: Guest, seed: int) -> Iterator[Results]:
    """Push and pull until the block ends. The tags of each round are its own."""
    results: Results = {}
    command = [sys.executable, pushers.__file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        process.stdin.write(job(guest, "load", seed=seed, folder=f"round{seed}"))
        process.stdin.flush()
        yield results
        output, _ = process.communicate()
        results |= json.loads(output)


def find_broken(guest: Guest, accepted: dict[tuple[str, str], str]) -> list[str]:
    check = [(*image, digest) for image, digest in accepted.items()]
    done = subprocess.run(
        [sys.executable, pushers.__file__], input=job(guest, "once", check=check),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    checked = json.loads(done.stdout)
    assert checked["pulls"] == len(check)
    return list(checked["failures"])


def test_a_power_cut_loses_no_accepted_image(guest: Guest, figures: Callable[[str], None]) -> None:
    order, pushes, boots = random.Random(1), 0, [guest.start()]
    accepted: dict[tuple[str, str], str] = {}
    broken: list[str] = []
    for number in range(CUTS):
        with clients(guest, number) as results:
            eventually(120, "an image is accepted", lambda folder=f"round{number}": guest.count_tags(folder) > 0)
            time.sleep(order.uniform(0, 4))
            guest.cut_power()
        pushes += len(results["accepted"])
        accepted |= images_of(results)
        boots.append(guest.start())
        broken += [*results["failures"], *find_broken(guest, accepted)]
    guest.cut_power()
    figures(
        f"{CUTS} power cuts during pushes: {pushes} images accepted, {len(set(broken))} lost; boots and serves in "
        f"{statistics.median(boots):.1f} s"
    )
    assert broken == []
    assert pushes >= CUTS
    assert scrub(guest.disk)["damage"] == []


def test_a_clock_that_jumps_loses_no_accepted_image(guest: Guest, figures: Callable[[str], None]) -> None:
    guest.start()
    with clients(guest, 0) as results:
        for hours in JUMPS:
            before, tags = guest.clock(), guest.count_tags("round0")
            guest.move_clock(3600 * hours)
            eventually(60, "the clock has jumped", partial(has_jumped, guest, before, hours))
            eventually(120, "images are accepted", partial(has_more_tags, guest, tags))
    broken = [*results["failures"], *find_broken(guest, images_of(results))]
    guest.cut_power()
    figures(
        f"the clock jumps by {', '.join(f'{hours:+}' for hours in JUMPS)} hours during pushes: "
        f"{len(results['accepted'])} images accepted, {len(broken)} lost; {refusals(results)}"
    )
    assert broken == []
    assert scrub(guest.disk)["damage"] == []


def has_jumped(guest: Guest, before: datetime, hours: int) -> bool:
    """Return whether the clock is that many hours from an earlier time. The test itself may take half an hour."""
    return abs(guest.clock() - before - timedelta(hours=hours)) < timedelta(minutes=30)


def has_more_tags(guest: Guest, before: int) -> bool:
    return guest.count_tags("round0") >= before + PUSHES_PER_JUMP


def scrub(disk: Path) -> dict[str, Any]:
    """Run the component's scrub on the disk, and return its summary."""
    mount, settings = disk.parent / "mount", disk.parent / "settings.json"
    mount.mkdir()
    settings.write_text(json.dumps({"storage": {"folder": str(mount)}}))
    program = f"{sys.executable} -m registry.maintenance.job scrub --all --settings {settings}"
    # The mount is in a namespace of its own, so that no other test sees it.
    command = ["unshare", "--mount", "sh", "-euc", f"mount -o loop {disk} {mount}\n{program}"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return next(line for line in lines if line["event"] == "summary")
