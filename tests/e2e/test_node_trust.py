"""Nodes trust registries by files that a DaemonSet keeps there, and by nothing that others put there."""

import json
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest

from dev.cluster import cgroup, process
from dev.cluster.plan import NODES
from tests.e2e.lab import Lab, Project, eventually, is_ready
from tests.e2e.test_workload import pods
from tests.issuing import Wanted, issue

pytestmark = pytest.mark.e2e

MASTER, WORKER = (each.name for each in NODES)
CONTAINERD, DOCKER = "/etc/containerd/certs.d", "/etc/docker/certs.d"
K3S = "/var/lib/rancher/k3s/agent/etc/containerd/certs.d"
HOST = "team.example.com:5000"
OLD, NEW = issue(Wanted()).pem, issue(Wanted()).pem

FORGET_RUN = """
awk '$5 ~ "^/run/(containerd|netns)/" { print $5 }' /proc/self/mountinfo | sort -r | xargs -r umount --lazy
rm -rf /run/containerd /run/cni /run/netns/*
"""
"""What a node that had no power no longer has: /run lies in its memory."""

PROGRAM = """
import json, pathlib, pulumi
from registry import NodeTrust

args = json.loads(pathlib.Path("args.json").read_text())
pulumi.export("endpoints", NodeTrust("trust", args).endpoints)
"""


class Trust:
    """A program of a NodeTrust alone."""

    def __init__(self, lab: Lab, made: Project) -> None:
        self.lab, self.project = lab, made

    def up(self, *registries: dict[str, str], **settings: str) -> list[str]:
        args = {"registries": list(registries), "namespace": "trust", **settings}
        (self.project.folder / "args.json").write_text(json.dumps(args))
        return list(self.project.up()["endpoints"])

    def destroy(self, *, check: bool = True) -> str:
        done = self.project.run("destroy", "--yes", "--skip-preview", check=check)
        return done.stdout + done.stderr

    def pods(self) -> dict[str, dict[str, Any]]:
        """The Pods that are to stay, by node."""
        return {each["spec"]["nodeName"]: each for each in pods(self.lab, "trust")}


@pytest.fixture
def trust(lab: Lab, project: Callable[[str, str], Project]) -> Iterator[Trust]:
    made = Trust(lab, project("trust", PROGRAM))
    yield made
    # While one is not, the API server refuses to delete them.
    eventually(30, "each Pod is ready", lambda: all(map(is_ready, made.pods().values())))


def team(ca_pem: str = OLD, **more: str) -> dict[str, str]:
    return {"endpoint": HOST, "ca_pem": ca_pem, **more}


def on(lab: Lab, node: str, path: str) -> Path:
    return lab.cluster.path(node, path)


def listing(lab: Lab, node: str) -> dict[str, str]:
    """Every file and every folder below the runtimes' folders, with what is in it."""
    found = {}
    for folder in (CONTAINERD, DOCKER):
        for each in sorted(on(lab, node, folder).rglob("*")):
            path = f"{folder}/{each.relative_to(on(lab, node, folder))}"
            found[path] = each.read_text() if each.is_file() else ""
    return found


@contextmanager
def neighbours(lab: Lab) -> Iterator[dict[str, dict[str, str]]]:
    """Files of others on both nodes: of another registry, and in the registry's own folder; gone after the block."""
    files = {
        f"{CONTAINERD}/other.example.com:5000/hosts.toml": 'server = "https://other.example.com:5000"\n',
        f"{CONTAINERD}/_default/hosts.toml": "# everything else\n",
        f"{DOCKER}/other.example.com:5000/ca.crt": OLD,
        f"{DOCKER}/{HOST}/client.cert": "a client's own\n",
    }
    for node in (MASTER, WORKER):
        for path, content in files.items():
            on(lab, node, path).parent.mkdir(parents=True, exist_ok=True)
            on(lab, node, path).write_text(content)
    try:
        yield {node: listing(lab, node) for node in (MASTER, WORKER)}
    finally:
        for node in (MASTER, WORKER):
            for path in files:
                on(lab, node, path).unlink()
                if not any(on(lab, node, path).parent.iterdir()):
                    on(lab, node, path).parent.rmdir()


def test_every_node_has_the_files_and_loses_exactly_those(lab: Lab, trust: Trust) -> None:
    with neighbours(lab) as before:
        other = {"endpoint": "second.example.com:443", "ca_pem": NEW}
        assert trust.up(team(address="192.168.56.10:5000"), other) == [HOST, "second.example.com:443"]
        for node in (MASTER, WORKER):
            hosts = on(lab, node, f"{CONTAINERD}/{HOST}/hosts.toml").read_text()
            assert f'server = "https://{HOST}"' in hosts
            assert '[host."https://192.168.56.10:5000"]' in hosts
            for name, pem in {HOST: OLD, "second.example.com": NEW, "second.example.com:443": NEW}.items():
                for folder in (CONTAINERD, DOCKER):
                    file = on(lab, node, f"{folder}/{name}/ca.crt")
                    assert file.read_text().endswith(pem)
                    assert stat.S_IMODE(file.stat().st_mode) == 0o644
                    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o755
        trust.project.up("--expect-no-changes")
        trust.up(team())
        for node in (MASTER, WORKER):  # the old Pod may put them back until it goes, and takes them along then
            left = lambda node=node: [path for path in listing(lab, node) if "second" in path]  # noqa: E731
            eventually(30, "the second one's files are gone", lambda left=left: not left())
        trust.up(team(), containerd_folder=K3S)
        for node in (MASTER, WORKER):
            assert on(lab, node, f"{K3S}/{HOST}/hosts.toml").exists()
            eventually(30, "it has moved", lambda node=node: not on(lab, node, f"{CONTAINERD}/{HOST}").exists())
        trust.destroy()
        assert not [node for node in (MASTER, WORKER) if any(on(lab, node, K3S).iterdir())]
        assert {node: listing(lab, node) for node in (MASTER, WORKER)} == before


def test_a_changed_ca_is_on_every_node_within_a_minute_and_no_moment_is_without_one(lab: Lab, trust: Trust) -> None:
    trust.up(team(OLD))
    ended, torn = Event(), []

    def read_on() -> None:
        while not ended.is_set():
            for node in (MASTER, WORKER):
                try:
                    content = on(lab, node, f"{CONTAINERD}/{HOST}/ca.crt").read_text()
                    if not content.endswith((OLD, NEW)):
                        torn.append(content)
                except FileNotFoundError:
                    torn.append(node)

    reader = Thread(target=read_on)
    reader.start()
    began = monotonic()
    trust.up(team(NEW))
    took = monotonic() - began
    for node in (MASTER, WORKER):
        assert on(lab, node, f"{CONTAINERD}/{HOST}/ca.crt").read_text().endswith(NEW), "once `up` has ended"
    # The old Pods are told to go, and take nothing along.
    eventually(30, "one Pod a node", lambda: len(lab.api.objects("pods", "trust")) == 2)
    ended.set()
    reader.join()
    assert torn == []
    assert took < 60


def test_a_file_of_somebody_else_in_its_place_stays_and_is_told_of(lab: Lab, trust: Trust) -> None:
    trust.up(team())
    theirs = on(lab, WORKER, f"{CONTAINERD}/{HOST}/hosts.toml")
    theirs.write_text("# by hand\n")
    eventually(60, "the Pod says so", lambda: "somebody else's" in events(lab, trust.pods()[WORKER]))
    assert theirs.read_text() == "# by hand\n"
    theirs.unlink()
    eventually(60, "its own is back", lambda: theirs.exists() and HOST in theirs.read_text())


def test_a_file_that_is_lost_or_changed_comes_back(lab: Lab, trust: Trust) -> None:
    trust.up(team())
    file = on(lab, MASTER, f"{DOCKER}/{HOST}/ca.crt")
    right = file.read_text()
    file.unlink()
    eventually(30, "written again", lambda: file.exists() and file.read_text() == right)
    file.write_text(right.partition("\n")[0] + "\nnonsense\n")
    eventually(30, "written again", lambda: file.read_text() == right)


def test_a_read_only_file_system_is_told_of_and_harms_nothing_else(lab: Lab, trust: Trust) -> None:
    trust.up(team())
    lab.cluster.run(WORKER, ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", DOCKER], check=True)
    try:
        replace(lab, trust.pods()[WORKER])
        eventually(60, "the Pod says so", lambda: "Read-only file system" in events(lab, trust.pods()[WORKER]))
        assert on(lab, WORKER, f"{CONTAINERD}/{HOST}/ca.crt").read_text().endswith(OLD)
    finally:
        lab.cluster.run(WORKER, ["umount", DOCKER], check=True)
    replace(lab, trust.pods()[WORKER])
    eventually(60, "written", lambda: on(lab, WORKER, f"{DOCKER}/{HOST}/ca.crt").exists())


def test_a_node_that_was_down_or_joins_later_ends_as_the_others(lab: Lab, trust: Trust) -> None:
    with neighbours(lab) as before:
        trust.up(team())
        with crashed(lab, WORKER):
            eventually(120, "it counts as down", lambda: not is_ready(trust.pods()[WORKER]))
            said = trust.destroy(check=False)
            assert "bring it back" in said, said
            assert on(lab, WORKER, f"{CONTAINERD}/{HOST}/ca.crt").exists(), "nobody could take it away"
        eventually(120, "its Pod is back", lambda: is_ready(trust.pods()[WORKER]))
        trust.destroy()
        assert {node: listing(lab, node) for node in (MASTER, WORKER)} == before
        with crashed(lab, WORKER):
            lab.kubectl("delete", "node", WORKER)
            assert trust.up(team()) == [HOST], "the cluster has one node"
            assert not on(lab, WORKER, f"{CONTAINERD}/{HOST}").exists()
        eventually(60, "the node has joined", lambda: on(lab, WORKER, f"{CONTAINERD}/{HOST}/hosts.toml").exists())
        eventually(60, "and says so", lambda: is_ready(trust.pods()[WORKER]))


def test_it_asks_for_as_little_as_a_writer_of_two_folders_can(lab: Lab, trust: Trust) -> None:
    trust.up(team())
    spec = trust.pods()[MASTER]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert [each["hostPath"]["path"] for each in spec["volumes"] if "hostPath" in each] == [CONTAINERD, DOCKER]
    (policy,) = lab.api.objects("networkpolicy", "trust")
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & policy["spec"].keys()
    label = "pod-security.kubernetes.io/enforce=restricted"
    said = lab.place.run("kubectl", "label", "--dry-run=server", "--overwrite", "namespace", "trust", label).stderr
    objections = said.strip().rpartition("): ")[2]
    assert objections == "restricted volume types, runAsNonRoot != true, runAsUser=0"


def replace(lab: Lab, pod: dict[str, Any]) -> None:
    """Have another Pod take its place, which mounts anew."""
    lab.kubectl("delete", "pod", "--namespace", "trust", pod["metadata"]["name"])


def events(lab: Lab, pod: dict[str, Any]) -> str:
    of_it = f"involvedObject.uid={pod['metadata']['uid']}"
    return "\n".join(each["message"] for each in lab.api.objects("events", "trust", fields=of_it))


@contextmanager
def crashed(lab: Lab, name: str) -> Iterator[None]:
    """A node without power: nothing on it was told to end. With power again after the block."""
    (host,) = [each for each in NODES if each.name == name]
    plan = lab.cluster.plan
    process.stop(plan, host, "kubelet", grace=0)
    cgroup.terminate(plan.cgroup(host) / "kubepods", grace=0)
    process.stop(plan, host, "containerd", grace=0)
    cgroup.terminate(plan.cgroup(host), grace=0)
    lab.cluster.run(name, ["sh", "-ec", FORGET_RUN], check=True)
    try:
        yield
    finally:
        lab.cluster.up()
