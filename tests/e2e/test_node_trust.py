"""Deploy a NodeTrust. Its DaemonSet writes files to the nodes, and restores and deletes only these files.

No offline test can show this, because only real nodes have file systems, container runtimes and outages.
"""

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
from tests.issuing import CertificateSpec, issue

pytestmark = pytest.mark.e2e

MASTER, WORKER = (each.name for each in NODES)
CONTAINERD, DOCKER = "/etc/containerd/certs.d", "/etc/docker/certs.d"
"""Default folders of the container runtimes, with a folder for each endpoint."""

K3S = "/var/lib/rancher/k3s/agent/etc/containerd/certs.d"
"""Folder of the containerd in k3s, which a user must configure."""

ENDPOINT = "team.example.com:5000"
OLD_CA, NEW_CA = issue(CertificateSpec()).pem, issue(CertificateSpec()).pem

CLEAR_RUN = """
awk '$5 ~ "^/run/(containerd|netns)/" { print $5 }' /proc/self/mountinfo | sort -r | xargs -r umount --lazy
rm -rf /run/containerd /run/cni /run/netns/*
"""
"""Script that clears /run on a node. It is in memory, so a node loses it with its power."""

PROGRAM = """
import json, pathlib, pulumi
from registry import NodeTrust

args = json.loads(pathlib.Path("args.json").read_text())
pulumi.export("endpoints", NodeTrust("trust", args).endpoints)
"""


class Trust:
    """A program with a NodeTrust only."""

    def __init__(self, lab: Lab, project: Project) -> None:
        self.lab, self.project = lab, project

    def up(self, *registries: dict[str, str], **settings: str) -> list[str]:
        args = {"registries": list(registries), "namespace": "trust", **settings}
        (self.project.folder / "args.json").write_text(json.dumps(args))
        return list(self.project.up()["endpoints"])

    def destroy(self, *, check: bool = True) -> str:
        done = self.project.run("destroy", "--yes", "--skip-preview", check=check)
        return done.stdout + done.stderr

    def pods(self) -> dict[str, dict[str, Any]]:
        """Return the Pods that are not being deleted, by node."""
        return {each["spec"]["nodeName"]: each for each in pods(self.lab, "trust")}


@pytest.fixture
def trust(lab: Lab, create_project: Callable[[str, str], Project]) -> Iterator[Trust]:
    node_trust = Trust(lab, create_project("trust", PROGRAM))
    yield node_trust
    # While a Pod is not ready, the component makes the API server refuse the deletion of the DaemonSet.
    eventually(30, "all Pods are ready", lambda: all(map(is_ready, node_trust.pods().values())))


def team_registry(ca_pem: str = OLD_CA, **fields: str) -> dict[str, str]:
    return {"endpoint": ENDPOINT, "ca_pem": ca_pem, **fields}


def node_path(lab: Lab, node: str, path: str) -> Path:
    return lab.cluster.path(node, path)


def read_files(lab: Lab, node: str) -> dict[str, str]:
    """Return the content of each file in the runtimes' folders by path, and "" for each folder."""
    content_by_path = {}
    for folder in (CONTAINERD, DOCKER):
        for path in sorted(node_path(lab, node, folder).rglob("*")):
            name = f"{folder}/{path.relative_to(node_path(lab, node, folder))}"
            content_by_path[name] = path.read_text() if path.is_file() else ""
    return content_by_path


@contextmanager
def foreign_files(lab: Lab) -> Iterator[dict[str, dict[str, str]]]:
    """Create files on both nodes that the component does not own, and delete them after the block.

    Yield all files of the runtimes' folders by node.
    """
    files = {
        f"{CONTAINERD}/other.example.com:5000/hosts.toml": 'server = "https://other.example.com:5000"\n',
        f"{CONTAINERD}/_default/hosts.toml": "# all other registries\n",
        f"{DOCKER}/other.example.com:5000/ca.crt": OLD_CA,
        f"{DOCKER}/{ENDPOINT}/client.cert": "a client's own\n",
    }
    for node in (MASTER, WORKER):
        for path, content in files.items():
            node_path(lab, node, path).parent.mkdir(parents=True, exist_ok=True)
            node_path(lab, node, path).write_text(content)
    try:
        yield {node: read_files(lab, node) for node in (MASTER, WORKER)}
    finally:
        for node in (MASTER, WORKER):
            for path in files:
                node_path(lab, node, path).unlink()
                if not any(node_path(lab, node, path).parent.iterdir()):
                    node_path(lab, node, path).parent.rmdir()


def test_every_node_gets_the_files_and_loses_only_those(lab: Lab, trust: Trust) -> None:
    with foreign_files(lab) as files_before:
        other = {"endpoint": "second.example.com:443", "ca_pem": NEW_CA}
        assert trust.up(team_registry(address="192.168.56.10:5000"), other) == [ENDPOINT, "second.example.com:443"]
        for node in (MASTER, WORKER):
            hosts = node_path(lab, node, f"{CONTAINERD}/{ENDPOINT}/hosts.toml").read_text()
            assert f'server = "https://{ENDPOINT}"' in hosts
            assert '[host."https://192.168.56.10:5000"]' in hosts
            for name, pem in {ENDPOINT: OLD_CA, "second.example.com": NEW_CA, "second.example.com:443": NEW_CA}.items():
                for folder in (CONTAINERD, DOCKER):
                    file = node_path(lab, node, f"{folder}/{name}/ca.crt")
                    assert file.read_text().endswith(pem)
                    assert stat.S_IMODE(file.stat().st_mode) == 0o644
                    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o755
        trust.project.up("--expect-no-changes")
        trust.up(team_registry())
        # The old Pods may restore these files until they end. At their end they delete them.
        for node in (MASTER, WORKER):
            eventually(
                30,
                "the second registry's files are deleted",
                lambda node=node: not any("second" in path for path in read_files(lab, node)),
            )
        trust.up(team_registry(), containerd_folder=K3S)
        for node in (MASTER, WORKER):
            assert node_path(lab, node, f"{K3S}/{ENDPOINT}/hosts.toml").exists()
            eventually(
                30,
                "the old folder is deleted",
                lambda node=node: not node_path(lab, node, f"{CONTAINERD}/{ENDPOINT}").exists(),
            )
        trust.destroy()
        assert not [node for node in (MASTER, WORKER) if any(node_path(lab, node, K3S).iterdir())]
        assert {node: read_files(lab, node) for node in (MASTER, WORKER)} == files_before


def test_a_changed_ca_reaches_every_node_within_a_minute_without_an_interruption(lab: Lab, trust: Trust) -> None:
    trust.up(team_registry(OLD_CA))
    stop, wrong_contents = Event(), []

    def read_repeatedly() -> None:
        while not stop.is_set():
            for node in (MASTER, WORKER):
                try:
                    content = node_path(lab, node, f"{CONTAINERD}/{ENDPOINT}/ca.crt").read_text()
                    if not content.endswith((OLD_CA, NEW_CA)):
                        wrong_contents.append(content)
                except FileNotFoundError:
                    wrong_contents.append(node)

    reader = Thread(target=read_repeatedly)
    reader.start()
    start = monotonic()
    trust.up(team_registry(NEW_CA))
    seconds = monotonic() - start
    for node in (MASTER, WORKER):
        assert node_path(lab, node, f"{CONTAINERD}/{ENDPOINT}/ca.crt").read_text().endswith(NEW_CA), (
            "at the end of `up`"
        )
    # The old Pods end later, and must not remove the files.
    eventually(30, "one Pod runs on each node", lambda: len(lab.api.objects("pods", "trust")) == 2)
    stop.set()
    reader.join()
    assert wrong_contents == []
    assert seconds < 60


def test_an_unmanaged_file_is_kept_and_reported(lab: Lab, trust: Trust) -> None:
    trust.up(team_registry())
    unmanaged = node_path(lab, WORKER, f"{CONTAINERD}/{ENDPOINT}/hosts.toml")
    unmanaged.write_text("# by hand\n")
    eventually(
        60, "the Pod reports the unmanaged file", lambda: "another program's file" in events(lab, trust.pods()[WORKER])
    )
    assert unmanaged.read_text() == "# by hand\n"
    unmanaged.unlink()
    eventually(
        60, "the Pod writes its own file again", lambda: unmanaged.exists() and ENDPOINT in unmanaged.read_text()
    )


def test_a_deleted_or_changed_file_is_restored(lab: Lab, trust: Trust) -> None:
    trust.up(team_registry())
    file = node_path(lab, MASTER, f"{DOCKER}/{ENDPOINT}/ca.crt")
    expected = file.read_text()
    file.unlink()
    eventually(30, "the Pod restores the deleted file", lambda: file.exists() and file.read_text() == expected)
    file.write_text(expected.partition("\n")[0] + "\nnonsense\n")
    eventually(30, "the Pod restores the changed file", lambda: file.read_text() == expected)


def test_a_read_only_file_system_is_reported_and_other_files_are_written(lab: Lab, trust: Trust) -> None:
    trust.up(team_registry())
    lab.cluster.run(WORKER, ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", DOCKER], check=True)
    try:
        replace_pod(lab, trust.pods()[WORKER])
        eventually(
            60, "the Pod reports the error", lambda: "Read-only file system" in events(lab, trust.pods()[WORKER])
        )
        assert node_path(lab, WORKER, f"{CONTAINERD}/{ENDPOINT}/ca.crt").read_text().endswith(OLD_CA)
    finally:
        lab.cluster.run(WORKER, ["umount", DOCKER], check=True)
    replace_pod(lab, trust.pods()[WORKER])
    eventually(60, "the Pod writes the file", lambda: node_path(lab, WORKER, f"{DOCKER}/{ENDPOINT}/ca.crt").exists())


def test_a_node_that_was_down_or_joins_later_gets_the_same_files(lab: Lab, trust: Trust) -> None:
    with foreign_files(lab) as files_before:
        trust.up(team_registry())
        with without_power(lab, WORKER):
            eventually(120, "the Pod of the node is not ready", lambda: not is_ready(trust.pods()[WORKER]))
            output = trust.destroy(check=False)
            assert "Bring it back" in output, output  # the remedy in the API server's refusal
            assert node_path(lab, WORKER, f"{CONTAINERD}/{ENDPOINT}/ca.crt").exists(), "the file is still on the node"
        eventually(120, "the Pod of the node is ready", lambda: is_ready(trust.pods()[WORKER]))
        trust.destroy()
        assert {node: read_files(lab, node) for node in (MASTER, WORKER)} == files_before
        with without_power(lab, WORKER):
            lab.kubectl("delete", "node", WORKER)
            assert trust.up(team_registry()) == [ENDPOINT], "the cluster has one node"
            assert not node_path(lab, WORKER, f"{CONTAINERD}/{ENDPOINT}").exists()
        eventually(
            60,
            "the new node has the file",
            lambda: node_path(lab, WORKER, f"{CONTAINERD}/{ENDPOINT}/hosts.toml").exists(),
        )
        eventually(60, "the Pod of the new node is ready", lambda: is_ready(trust.pods()[WORKER]))


def test_the_daemon_set_has_only_the_privileges_that_it_needs(lab: Lab, trust: Trust) -> None:
    trust.up(team_registry())
    spec = trust.pods()[MASTER]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert [each["hostPath"]["path"] for each in spec["volumes"] if "hostPath" in each] == [CONTAINERD, DOCKER]
    (policy,) = lab.api.objects("networkpolicy", "trust")
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & policy["spec"].keys()
    # The API server warns of the Pods that the strictest policy would refuse, and lists their deviations from it.
    label = "pod-security.kubernetes.io/enforce=restricted"
    output = lab.environment.run(
        "kubectl", "label", "--dry-run=server", "--overwrite", "namespace", "trust", label
    ).stderr
    objections = output.strip().rpartition("): ")[2]
    assert objections == "restricted volume types, runAsNonRoot != true, runAsUser=0"


def replace_pod(lab: Lab, pod: dict[str, Any]) -> None:
    """Delete the Pod, so that a new one mounts the folders again."""
    lab.kubectl("delete", "pod", "--namespace", "trust", pod["metadata"]["name"])


def events(lab: Lab, pod: dict[str, Any]) -> str:
    """Return the messages of the Pod's events."""
    of_pod = f"involvedObject.uid={pod['metadata']['uid']}"
    return "\n".join(each["message"] for each in lab.api.objects("events", "trust", fields=of_pod))


@contextmanager
def without_power(lab: Lab, name: str) -> Iterator[None]:
    """Cut a node's power, without a clean shutdown, until the block ends."""
    (host,) = [each for each in NODES if each.name == name]
    plan = lab.cluster.plan
    process.stop(plan, host, "kubelet", grace=0)
    cgroup.terminate(plan.cgroup(host) / "kubepods", grace=0)
    process.stop(plan, host, "containerd", grace=0)
    cgroup.terminate(plan.cgroup(host), grace=0)
    lab.cluster.run(name, ["sh", "-ec", CLEAR_RUN], check=True)
    try:
        yield
    finally:
        lab.cluster.up()
