"""`dev down` leaves the machine as it found it, and a cluster beside it untouched."""

import re
import subprocess
from pathlib import Path

import pytest

from dev.cluster import Cluster
from dev.environment import STATE
from tests.e2e.lab import NAME, Lab

pytestmark = pytest.mark.e2e

TUNABLES = ("net/ipv4/ip_forward", "vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops")


GUEST = f"{NAME}g"

OTHERS = re.compile(rf"pr-(?!{GUEST}(-|$))|{STATE}/(?!{GUEST}/)")
"""Names that belong to another cluster, which may come and go meanwhile."""


def machine() -> dict[str, object]:
    """Return what a cluster could leave behind, but for what is another cluster's."""

    def said(*argv: str) -> list[str]:
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()

    found = {
        "namespaces": [line.split()[0] for line in said("ip", "netns", "list")],
        "links": [line.split()[1].partition("@")[0] for line in said("ip", "-oneline", "link")],
        "routes": said("ip", "route"),
        "mounts": [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()],
        "control groups": [str(each) for each in Path("/sys/fs/cgroup").glob("*/pr-*")],
    }
    seen: dict[str, object] = {
        kind: sorted(each for each in names if not OTHERS.search(each)) for kind, names in found.items()
    }
    return seen | {"tunables": {name: Path("/proc/sys", name).read_text() for name in TUNABLES}}


def test_down_leaves_nothing_behind_and_the_next_up_finds_everything(lab: Lab) -> None:
    cluster = Cluster(STATE / GUEST, GUEST, isolated=True)
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
    assert not (STATE / GUEST).exists()
    assert lab.get("pod", "docker-registry")["status"]["phase"] == "Running", "the cluster beside it"
