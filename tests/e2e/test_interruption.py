"""`make up` cut off at ten moments, by Ctrl-C and by kill -9, and run again: it converges, and nothing is left over."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dev.workplace import PROJECT, STATE
from tests.e2e.conftest import NAME, NAMESPACE, STACK, UP, Lab, eventually

pytestmark = pytest.mark.e2e

MOMENTS = [0.05 + 0.09 * moment for moment in range(10)]
"""Parts of the time that a whole `up` takes, from the first import to `ops verify`."""


def ours() -> set[int]:
    """Processes of a Pulumi engine that works on the lab's state."""
    backend = (STATE / NAME / "pulumi").as_uri()
    return {
        process.pid
        for process in psutil.process_iter(["name", "environ"])
        if process.info["name"].startswith("pulumi")
        and (process.info["environ"] or {}).get("PULUMI_BACKEND_URL") == backend
    }


def locks() -> list[Path]:
    return list((STATE / NAME / "pulumi/.pulumi/locks").rglob("*.json"))


def start() -> subprocess.Popen[bytes]:
    with (STATE / NAME / "interrupted.log").open("ab") as log:
        return subprocess.Popen(UP, cwd=PROJECT, stdout=log, stderr=log, start_new_session=True)


def cut_off(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """As the terminal does it: the whole foreground group at once."""
    os.killpg(process.pid, how)
    process.wait()


@pytest.fixture(scope="module")
def whole(lab: Lab) -> float:
    """Seconds that the command takes from nothing to its end: of two runs the shorter one, so that most cuts hit."""

    def once() -> float:
        lab.pulumi("destroy", "--yes", "--skip-preview", *STACK)
        began = time.monotonic()
        assert start().wait() == 0
        return time.monotonic() - began

    return min(once(), once())


@pytest.fixture(scope="module")
def hits() -> Iterator[list[bool]]:
    """Whether each cut came before the command's own end; a test of a command that has ended proves nothing."""
    hits: list[bool] = []
    yield hits
    assert sum(hits) >= 0.8 * len(hits), f"too many cuts came too late: {hits}"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill-9"])
@pytest.mark.parametrize("moment", MOMENTS, ids="{:.0%}".format)
def test_an_up_cut_off_and_run_again_converges(
    lab: Lab, whole: float, hits: list[bool], moment: float, how: signal.Signals
) -> None:
    lab.pulumi("destroy", "--yes", "--skip-preview", *STACK)
    process = start()
    time.sleep(moment * whole)
    hits.append(process.poll() is None)
    cut_off(process, how)
    again = subprocess.run(UP, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert again.returncode == 0, f"{again.stdout}\n{again.stderr}"
    assert_converged(lab)


def test_what_was_made_without_a_note_is_taken_in(lab: Lab) -> None:
    """On Ctrl-C the engine may take for failed what the API server has made; here what it noted is taken from it."""
    lab.pulumi("destroy", "--yes", "--skip-preview", *STACK)
    process = start()
    eventually(30, "the Pod is there", lambda: lab.kubectl("get", "pod", "--namespace", NAMESPACE, "--output", "name"))
    cut_off(process, signal.SIGINT)
    assert process.returncode, "it was not through"
    lab.pulumi("cancel", "--yes", *STACK, check=False)
    state = json.loads(lab.pulumi("stack", "export", *STACK).stdout)
    unnoted = ("registry-data-volume", "registry-workload-configuration", "registry-workload-pod")
    kept = [each for each in state["deployment"]["resources"] if not each["urn"].endswith(unnoted)]
    state["deployment"] |= {"resources": kept, "pending_operations": []}
    lab.pulumi("stack", "import", *STACK, stdin=json.dumps(state))
    again = subprocess.run(UP, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert again.returncode == 0, f"{again.stdout}\n{again.stderr}"
    assert "an interrupted up is put in order" in again.stderr
    assert_converged(lab)


def assert_converged(lab: Lab) -> None:
    """Nothing runs, waits or lives that the state does not know."""
    assert not ours(), "no engine and no plugin is left running"
    assert not locks()
    lab.up("--expect-no-changes")
    state = json.loads(lab.pulumi("stack", "export", *STACK).stdout)["deployment"]
    assert not state.get("pending_operations")
    in_state = {each["id"] for each in state["resources"] if each["type"].startswith("kubernetes:core/v1:")}
    live = lab.kubectl("get", "pod,service,secret,pvc", "--namespace", NAMESPACE, "--output", "name").split()
    orphans = {name.rpartition("/")[2] for name in live} - {each.rpartition("/")[2] for each in in_state}
    assert not orphans
    assert len(lab.kubectl("get", "pv", "--output", "name").split()) == 1
