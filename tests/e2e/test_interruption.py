"""Interrupt `make up` with Ctrl-C and kill -9 at several moments. The next `make up` converges and cleans up.

Only real processes leave locks, plugins and half-written state.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from dev.environment import PROJECT, STATE
from tests.e2e import stack_file
from tests.e2e.lab import NAME, NAMESPACE, SOAK, STACK, UP, Lab, eventually

pytestmark = pytest.mark.e2e

MOMENTS = [0.05 + 0.09 * moment for moment in range(10)] if SOAK else [0.3, 0.65]
"""Fractions of the lines that a whole `up` prints, from the first import to `ops verify`."""

LOG = STATE / NAME / "interrupted.log"


def engine_pids() -> set[int]:
    """Return the processes of Pulumi engines that use the lab's state."""
    backend = (STATE / NAME / "pulumi").as_uri()
    return {
        process.pid
        for process in psutil.process_iter(["name", "environ"])
        if process.info["name"].startswith("pulumi")
        and (process.info["environ"] or {}).get("PULUMI_BACKEND_URL") == backend
    }


def lock_files() -> list[Path]:
    return list((STATE / NAME / "pulumi/.pulumi/locks").rglob("*.json"))


@contextmanager
def running_up() -> Iterator[subprocess.Popen[bytes]]:
    """Start an `up`. End it after the block, because its lock would make all following tests fail."""
    with LOG.open("wb") as log, subprocess.Popen(UP, cwd=PROJECT, stdout=log, stderr=log, start_new_session=True) as up:
        try:
            yield up
        finally:
            if up.poll() is None:
                kill_group(up, signal.SIGKILL)


def printed_lines() -> int:
    return LOG.read_bytes().count(b"\n")


def kill_group(process: subprocess.Popen[bytes], signal_number: signal.Signals) -> None:
    """Send the signal to the whole process group, as a terminal does."""
    os.killpg(process.pid, signal_number)
    process.wait()


@pytest.fixture(scope="module")
def total_lines(lab: Lab) -> int:
    """Return the number of lines of a whole `up`. They measure its progress independently of the machine's speed."""
    lab.pulumi("destroy", "--yes", "--skip-preview", *STACK)
    with running_up() as up:
        assert up.wait() == 0
    return printed_lines()


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill-9"])
@pytest.mark.parametrize("moment", MOMENTS, ids="{:.0%}".format)
def test_an_interrupted_up_converges_if_it_is_repeated(
    lab: Lab, total_lines: int, moment: float, signal_number: signal.Signals
) -> None:
    lab.pulumi("destroy", "--yes", "--skip-preview", *STACK)
    with running_up() as up:
        lines = moment * total_lines
        eventually(300, "the command has printed enough lines", lambda: printed_lines() >= lines, pause=0.01)
        assert up.poll() is None, "the command still runs"
        kill_group(up, signal_number)
    second_up = subprocess.run(UP, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert second_up.returncode == 0, f"{second_up.stdout}\n{second_up.stderr}"
    assert_converged(lab)


def test_up_repairs_the_truncated_file_of_a_killed_engine(lab: Lab) -> None:
    """Only the real engine fails with "failed to load checkpoint: EOF"."""
    stack_file.path(lab.environment, "private-registry", "dev").with_suffix(".json.attrs").write_text("")
    second_up = subprocess.run(UP, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert second_up.returncode == 0, f"{second_up.stdout}\n{second_up.stderr}"
    assert_converged(lab)


def test_up_adopts_objects_that_the_state_does_not_have(lab: Lab) -> None:
    """After Ctrl-C the engine may not record objects that the API server has created. The test removes such records."""
    lab.pulumi("destroy", "--yes", "--skip-preview", *STACK)
    with running_up() as up:
        eventually(300, "the Pod exists", lambda: lab.api.exists("pod", NAMESPACE, NAMESPACE))
        kill_group(up, signal.SIGINT)
        assert up.returncode, "the command was interrupted"
    lab.pulumi("cancel", "--yes", *STACK, check=False)
    state = json.loads(lab.pulumi("stack", "export", *STACK).stdout)
    removed = ("registry-label", "registry-data-volume", "registry-workload-configuration", "registry-workload-pod")
    remaining = [resource for resource in state["deployment"]["resources"] if not resource["urn"].endswith(removed)]
    state["deployment"] |= {"resources": remaining, "pending_operations": []}
    lab.pulumi("stack", "import", *STACK, stdin=json.dumps(state))
    second_up = subprocess.run(UP, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert second_up.returncode == 0, f"{second_up.stdout}\n{second_up.stderr}"
    assert "cleaned up after an interrupted up" in second_up.stderr
    assert_converged(lab)


def assert_converged(lab: Lab) -> None:
    """Check that no engine, lock or pending operation remains, and that the state has all live objects."""
    assert not engine_pids(), "no engine and no plugin runs"
    assert not lock_files()
    lab.up("--expect-no-changes")
    state = json.loads(lab.pulumi("stack", "export", *STACK).stdout)["deployment"]
    assert not state.get("pending_operations")
    recorded = {resource["id"] for resource in state["resources"] if resource["type"].startswith("kubernetes:core/v1:")}
    kinds = ("Pod", "Service", "Secret", "PersistentVolumeClaim")
    live = {name for kind in kinds for name in lab.api.names(kind, NAMESPACE)}
    assert not live - {resource.rpartition("/")[2] for resource in recorded}
    assert len(lab.api.names("PersistentVolume")) == 1
    managers = [fields["fieldsV1"] for fields in lab.get("node", "k8s-master")["metadata"]["managedFields"]]
    assert sum("f:run-docker-registry" in json.dumps(fields) for fields in managers) == 1, "one patch owns the label"
