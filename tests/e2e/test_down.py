"""`dev down` leaves the machine as it found it, and a cluster beside it untouched."""

import subprocess
from pathlib import Path

import pytest

from dev.cluster import Cluster
from dev.workplace import STATE
from tests.e2e.conftest import Lab

pytestmark = pytest.mark.e2e

TUNABLES = ("net/ipv4/ip_forward", "vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops")


def machine() -> dict[str, object]:
    """What a cluster could leave behind, but for the lab's."""

    def said(*argv: str) -> list[str]:
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()

    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return {
        "namespaces": sorted(line.split()[0] for line in said("ip", "netns", "list")),
        "links": sorted(line.split()[1].partition("@")[0] for line in said("ip", "-oneline", "link")),
        "routes": said("ip", "route"),
        "mounts": sorted(mount for mount in mounts if "kubelet" not in mount),
        "control groups": sorted(
            str(each) for each in Path("/sys/fs/cgroup").glob("**/pr-*") if "pr-e2e" not in str(each)
        ),
        "tunables": {name: Path("/proc/sys", name).read_text() for name in TUNABLES},
    }


def test_down_leaves_nothing_behind_and_the_next_up_finds_everything(lab: Lab) -> None:
    cluster = Cluster(STATE / "guest", "guest", isolated=True)
    cluster.wipe()
    before = machine()
    cluster.up()
    create = ["kubectl", "--kubeconfig", str(cluster.kubeconfig), "create", "namespace", "found-again"]
    cluster.run("laptop", create, check=True)
    cluster.down()
    assert machine() == before
    cluster.up()
    get = ["kubectl", "--kubeconfig", str(cluster.kubeconfig), "get", "namespace", "found-again"]
    assert cluster.run("laptop", get, check=False).returncode == 0
    cluster.wipe()
    assert machine() == before
    assert not (STATE / "guest").exists()
    assert lab.get("pod", "docker-registry")["status"]["phase"] == "Running", "the cluster beside it"
