"""`dev down` removes a cluster from the machine, and does not change another cluster.

Only a real cluster creates network namespaces, links, routes, mounts and control groups.
"""

import re
import subprocess
from pathlib import Path

import pytest

from dev.cluster import Cluster
from dev.environment import STATE
from tests.e2e.lab import NAME, Lab

pytestmark = pytest.mark.e2e

SYSCTLS = ("net/ipv4/ip_forward", "vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops")
"""Kernel parameters that a cluster sets, as paths below /proc/sys."""

TEST_CLUSTER = f"{NAME}g"
"""Name of the cluster that the test starts and stops. No lab has this name, because names of labs end with a digit."""

OTHER_CLUSTERS = re.compile(rf"pr-(?!{TEST_CLUSTER}(-|$))|/\.dev/(?!{TEST_CLUSTER}/)")
"""Names and folders of other clusters of all clones, which may start and stop during the test."""


def read_machine_state() -> dict[str, object]:
    """Return the state of the machine that a cluster may change, without the names of other clusters."""

    def lines_of(*argv: str) -> list[str]:
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()

    names_by_kind = {
        "namespaces": [line.split()[0] for line in lines_of("ip", "netns", "list")],
        "links": [line.split()[1].partition("@")[0] for line in lines_of("ip", "-oneline", "link")],
        "routes": lines_of("ip", "route"),
        "mounts": [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()],
        "control groups": [str(path) for path in Path("/sys/fs/cgroup").glob("*/pr-*")],
    }
    state: dict[str, object] = {
        kind: sorted(name for name in names if not OTHER_CLUSTERS.search(name)) for kind, names in names_by_kind.items()
    }
    return state | {"sysctls": {name: Path("/proc/sys", name).read_text() for name in SYSCTLS}}


def test_down_cleans_up_the_machine_and_the_next_up_restores_the_objects(lab: Lab) -> None:
    """Only a real cluster changes the kernel's state."""
    cluster = Cluster(STATE / TEST_CLUSTER, TEST_CLUSTER, isolated=True)
    cluster.wipe()
    before = read_machine_state()
    cluster.up()
    create = ["kubectl", "--kubeconfig", str(cluster.kubeconfig), "create", "namespace", "restored"]
    cluster.run("laptop", create, check=True)
    cluster.down()
    assert read_machine_state() == before
    cluster.up()
    get = ["kubectl", "--kubeconfig", str(cluster.kubeconfig), "get", "namespace", "restored"]
    assert cluster.run("laptop", get, check=False).returncode == 0
    cluster.wipe()
    assert read_machine_state() == before
    assert not (STATE / TEST_CLUSTER).exists()
    assert lab.get("pod", "docker-registry")["status"]["phase"] == "Running", "the lab is unchanged"
