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
from tests.e2e.lab import NAME, NAMESPACE, SOAK, STACK, UP, Lab, eventually, run_up

pytestmark = [pytest.mark.e2e, pytest.mark.drill]

MOMENTS = [0.05 + 0.09 * number for number in range(10)] if SOAK else [0.3, 0.65]
"""Moments of the interruptions, as fractions of the lines that a whole `make up` prints."""

LOG = STATE / NAME / "interrupted.log"
"""Output of the `make up` that `running_up` has started last."""


def engine_pids() -> set[int]:
    """Return the process IDs of Pulumi's engines and plugins that use the lab's state."""
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
    """Start `make up`. Kill it after the block, because its lock would make all following tests fail."""
    with LOG.open("wb") as log, subprocess.Popen(UP, cwd=PROJECT, stdout=log, stderr=log, start_new_session=True) as up:
        try:
            yield up
        finally:
            if up.poll() is None:
                kill_group(up, signal.SIGKILL)


def printed_lines() -> int:
    """Return the number of lines in LOG."""
    return LOG.read_bytes().count(b"\n")


def kill_group(process: subprocess.Popen[bytes], signal_number: signal.Signals) -> None:
    """Send the signal to the whole process group, as a terminal does."""
    os.killpg(process.pid, signal_number)
    process.wait()


@pytest.fixture(scope="module")
def total_lines(lab: Lab) -> int:
    """Return the number of lines that a whole `make up` prints. Lines measure progress on a machine of any speed."""
    lab.pulumi("destroy", "--yes", "--skip-preview", *STACK)
    with running_up() as up:
        assert up.wait() == 0
    return printed_lines()


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill-9"])
@pytest.mark.parametrize("moment", MOMENTS, ids="{:.0%}".format)
def test_an_interrupted_up_converges_if_it_is_repeated(
    lab: Lab, total_lines: int, moment: float, signal_number: signal.Signals
) -> None:
    """Only a real process leaves a lock and a half-written state behind."""
    lab.pulumi("destroy", "--yes", "--skip-preview", *STACK)
    with running_up() as up:
        lines = moment * total_lines
        eventually(300, "the command has printed enough lines", lambda: printed_lines() >= lines, pause=0.01)
        assert up.poll() is None, "the command still runs"
        kill_group(up, signal_number)
    run_up()
    assert_converged(lab)


def test_up_repairs_the_truncated_file_of_a_killed_engine(lab: Lab) -> None:
    """Only the real engine fails with "failed to load checkpoint: EOF"."""
    # The engine stores the attributes of the state file in this file.
    stack_file.path(lab.environment, "private-registry", "dev").with_suffix(".json.attrs").write_text("")
    run_up()
    assert_converged(lab)


def test_up_adopts_objects_that_the_state_does_not_have(lab: Lab) -> None:
    """Only the API server has objects that an interrupted engine did not record. The test deletes some records."""
    lab.pulumi("destroy", "--yes", "--skip-preview", *STACK)
    with running_up() as up:
        eventually(300, "the Pod exists", lambda: lab.api.exists("pod", NAMESPACE, NAMESPACE))
        kill_group(up, signal.SIGINT)
        assert up.returncode, "the command was interrupted"
    lab.pulumi("cancel", "--yes", *STACK, check=False)
    state = json.loads(lab.pulumi("stack", "export", *STACK).stdout)
    names = ("registry-label", "registry-data-volume", "registry-workload-configuration", "registry-workload-pod")
    remaining = [resource for resource in state["deployment"]["resources"] if not resource["urn"].endswith(names)]
    state["deployment"] |= {"resources": remaining, "pending_operations": []}
    lab.pulumi("stack", "import", *STACK, stdin=json.dumps(state))
    assert "cleaned up after an interrupted up" in run_up().stderr
    assert_converged(lab)


def assert_converged(lab: Lab) -> None:
    """Check that no engine, lock or pending operation remains, and that the state has all live objects."""
    assert not engine_pids(), "no engine and no plugin runs"
    assert not lock_files()
    lab.up("--expect-no-changes")
    state = json.loads(lab.pulumi("stack", "export", *STACK).stdout)["deployment"]
    assert not state.get("pending_operations")
    ids = {resource["id"] for resource in state["resources"] if resource["type"].startswith("kubernetes:core/v1:")}
    kinds = ("Pod", "Service", "Secret", "PersistentVolumeClaim")
    live_names = {name for kind in kinds for name in lab.api.names(kind, NAMESPACE)}
    assert not live_names - {resource_id.rpartition("/")[2] for resource_id in ids}
    assert len(lab.api.names("PersistentVolume")) == 1
    managed_fields = [entry["fieldsV1"] for entry in lab.get("node", "k8s-master")["metadata"]["managedFields"]]
    owners = sum("f:run-docker-registry" in json.dumps(fields) for fields in managed_fields)
    assert owners == 1, "one patch owns the label"
