"""`make up` cut off at ten moments, by Ctrl-C and by kill -9, and run again: it converges, and nothing is left over."""

import json
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from dev.environment import PROJECT, STATE
from tests.e2e import stack_file
from tests.e2e.lab import NAME, NAMESPACE, SOAK, STACK, UP, Lab, eventually

pytestmark = pytest.mark.e2e

MOMENTS = [0.05 + 0.09 * moment for moment in range(10)] if SOAK else [0.3, 0.65]
"""Parts of what a whole `up` tells, from the first import to `ops verify`."""

LOG = STATE / NAME / "interrupted.log"


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
    with LOG.open("wb") as log:
        return subprocess.Popen(UP, cwd=PROJECT, stdout=log, stderr=log, start_new_session=True)


def lines() -> int:
    return LOG.read_bytes().count(b"\n")


def cut_off(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """As the terminal does it: the whole foreground group at once."""
    os.killpg(process.pid, how)
    process.wait()


@pytest.fixture(scope="module")
def whole(lab: Lab) -> int:
    """How many lines the command prints from nothing to its end: its progress, however fast the machine is just now."""
    lab.pulumi("destroy", "--yes", "--skip-preview", *STACK)
    assert start().wait() == 0
    return lines()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill-9"])
@pytest.mark.parametrize("moment", MOMENTS, ids="{:.0%}".format)
def test_an_up_cut_off_and_run_again_converges(lab: Lab, whole: int, moment: float, how: signal.Signals) -> None:
    lab.pulumi("destroy", "--yes", "--skip-preview", *STACK)
    process = start()
    eventually(60, "it has come so far", lambda: lines() >= moment * whole, pause=0.01)
    assert process.poll() is None, "a command that has ended cannot be cut off"
    cut_off(process, how)
    again = subprocess.run(UP, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert again.returncode == 0, f"{again.stdout}\n{again.stderr}"
    assert_converged(lab)


def test_a_file_that_a_killed_engine_left_cut_off_is_mended(lab: Lab) -> None:
    """Only the engine's own reading shows that it stumbles over it: "failed to load checkpoint: EOF"."""
    stack_file.path(lab.place, "private-registry", "dev").with_suffix(".json.attrs").write_text("")
    again = subprocess.run(UP, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert again.returncode == 0, f"{again.stdout}\n{again.stderr}"
    assert_converged(lab)


def test_what_was_made_without_a_note_is_taken_in(lab: Lab) -> None:
    """On Ctrl-C the engine may take for failed what the API server has made; here what it noted is taken from it."""
    lab.pulumi("destroy", "--yes", "--skip-preview", *STACK)
    process = start()
    eventually(30, "the Pod is there", lambda: lab.api.exists("pod", NAMESPACE, NAMESPACE))
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
    assert "cleaned up after an interrupted up" in again.stderr
    assert_converged(lab)


def assert_converged(lab: Lab) -> None:
    """Nothing runs, waits or lives that the state does not know."""
    assert not ours(), "no engine and no plugin is left running"
    assert not locks()
    lab.up("--expect-no-changes")
    state = json.loads(lab.pulumi("stack", "export", *STACK).stdout)["deployment"]
    assert not state.get("pending_operations")
    in_state = {each["id"] for each in state["resources"] if each["type"].startswith("kubernetes:core/v1:")}
    kinds = ("Pod", "Service", "Secret", "PersistentVolumeClaim")
    live = {name for kind in kinds for name in lab.api.names(kind, NAMESPACE)}
    assert not live - {each.rpartition("/")[2] for each in in_state}
    assert len(lab.api.names("PersistentVolume")) == 1
