"""`ops recover`: the state after an interruption, and the files and processes that a killed engine leaves."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic.exceptions import NotFoundError
from kubernetes.dynamic.resource import ResourceInstance

from ops.errors import ClusterError, CommandError
from ops.recover import Recovery, file_backend, print_recovery, print_recovery_json, recover
from ops.recover.live_objects import create_object_finder, find_object
from ops.recover.orphan_plugins import end_orphan_plugins
from ops.recover.state import LiveObject, Resource, adopt_unrecorded, resolve_pending
from ops.recover.unrecorded import Period, interrupted_period, preview_creations, read_failed_periods

ROOT = "urn:pulumi:dev::private-registry::"
COMPONENT = f"{ROOT}private-registry:index:PrivateRegistry::registry"
PARENT = f"{ROOT}private-registry:index:PrivateRegistry$"
CIPHERTEXT = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:cut:cut"}


def resource(kind: str, name: str, *dependencies: str, **fields: Any) -> dict[str, Any]:
    """Return a resource as a pending operation has it, without an ID."""
    common = {"custom": True, "type": kind, "parent": COMPONENT, "dependencies": list(dependencies)}
    return {"urn": f"{PARENT}{kind}::{name}", **common, "inputs": {}, **fields}


def kubernetes_resource(
    kind: str, name: str, *dependencies: str, namespace: str | None = "docker-registry", **fields: Any
) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    inputs = {"apiVersion": "v1", "kind": kind.removesuffix("Patch"), "metadata": metadata, **fields.pop("inputs", {})}
    return resource(f"kubernetes:core/v1:{kind}", f"registry-{kind.lower()}", *dependencies, inputs=inputs, **fields)


def record(resource: dict[str, Any], object_id: str, **fields: Any) -> dict[str, Any]:
    """Return the resource as the state has it after its operation ended."""
    return {**resource, "id": object_id, "outputs": resource["inputs"], **fields}


def pending_operations(*resources: dict[str, Any], kind: str = "creating") -> list[dict[str, Any]]:
    return [{"resource": resource, "type": kind} for resource in resources]


def find_every_object(resource: Resource) -> LiveObject:
    metadata = resource["inputs"]["metadata"]
    return LiveObject("/".join([*filter(None, [metadata.get("namespace")]), metadata["name"]]), "pulumi-kubernetes-1")


def find_no_object(_: Resource) -> None:
    return None


CREATED = "2026-11-24T08:09:10Z"

STACK = {"urn": f"{ROOT}pulumi:pulumi:Stack::private-registry-dev", "custom": False, "type": "pulumi:pulumi:Stack"}
REGISTRY = {"urn": COMPONENT, "custom": False, "type": "private-registry:index:PrivateRegistry", "parent": STACK["urn"]}
POD = kubernetes_resource("Pod", "docker-registry")


def deployment(*resources: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    return {"manifest": {"time": CREATED}, "resources": [STACK, REGISTRY, *resources], "pending_operations": operations}


def names(deployment: dict[str, Any]) -> list[str]:
    """Return the names of the resources, without the stack and the component."""
    return [str(resource["urn"]).rpartition("::")[2] for resource in deployment["resources"][2:]]


def test_a_live_pod_is_adopted_with_its_id_and_field_manager() -> None:
    change = resolve_pending(deployment(operations=pending_operations(POD)), find_every_object)
    adopted = change.deployment["resources"][-1]
    assert adopted["id"] == "docker-registry/docker-registry"
    assert adopted["outputs"] == {**POD["inputs"], "__fieldManager": "pulumi-kubernetes-1"}
    assert change.deployment["pending_operations"] == []
    assert change.adopted == ["Pod registry-pod"]


def test_the_id_of_a_cluster_scoped_object_is_its_name() -> None:
    volume = kubernetes_resource("PersistentVolume", "volume-7b8af017", namespace=None)
    change = resolve_pending(deployment(operations=pending_operations(volume)), find_every_object)
    assert change.deployment["resources"][-1]["id"] == "volume-7b8af017"


def test_a_pending_creation_without_an_object_is_dropped() -> None:
    change = resolve_pending(deployment(operations=pending_operations(POD)), find_no_object)
    assert (names(change.deployment), change.dropped) == ([], ["Pod registry-pod, creating"])


@pytest.mark.parametrize(
    "operations",
    [
        pending_operations(resource("tls:index/privateKey:PrivateKey", "registry-tls-key")),
        pending_operations(kubernetes_resource("Node", "k8s-master", namespace=None, external=True), kind="reading"),
        pending_operations(kubernetes_resource("Node", "k8s-master", namespace=None, external=True)),
        pending_operations(resource("kubernetes:helm.sh/v3:Release", "chart")),
        pending_operations(record(POD, "docker-registry/docker-registry"), kind="updating"),
        pending_operations(record(POD, "docker-registry/docker-registry"), kind="deleting"),
    ],
    ids=lambda operations: f"{operations[0]['type']}-{operations[0]['resource']['type'].rpartition(':')[2]}",
)
def test_only_pending_creations_of_objects_are_looked_up_on_the_cluster(operations: list[dict[str, Any]]) -> None:
    change = resolve_pending(deployment(operations=operations), lambda _: pytest.fail("The cluster was queried."))
    assert (names(change.deployment), len(change.dropped)) == ([], 1)


def test_the_resource_of_an_interrupted_update_stays() -> None:
    service = record(kubernetes_resource("Service", "docker-registry"), "docker-registry/docker-registry")
    change = resolve_pending(
        deployment(service, operations=pending_operations(service, kind="updating")), find_every_object
    )
    assert change.deployment["resources"][-1] == service


def test_dependencies_are_adopted_before_their_dependents() -> None:
    namespace = kubernetes_resource("Namespace", "docker-registry", namespace=None)
    claim = kubernetes_resource("PersistentVolumeClaim", "repository", namespace["urn"])
    volume = kubernetes_resource(
        "PersistentVolume", "volume", claim["urn"], namespace=None, deletedWith=namespace["urn"]
    )
    change = resolve_pending(deployment(operations=pending_operations(volume, claim, namespace)), find_every_object)
    assert names(change.deployment) == [
        "registry-namespace",
        "registry-persistentvolumeclaim",
        "registry-persistentvolume",
    ]


def test_a_replacement_takes_the_place_of_its_deleted_predecessor() -> None:
    """Its dependents stay behind it in the state."""
    secret = kubernetes_resource("Secret", "auth-secret")
    old = record(secret, "docker-registry/auth-secret", pendingReplacement=True)
    pod = record(kubernetes_resource("Pod", "docker-registry", secret["urn"]), "docker-registry/docker-registry")
    new = {**secret, "inputs": {**secret["inputs"], "stringData": CIPHERTEXT}}
    change = resolve_pending(deployment(old, pod, operations=pending_operations(new)), find_every_object)
    assert names(change.deployment) == ["registry-secret", "registry-pod"]
    adopted = change.deployment["resources"][2]
    assert "pendingReplacement" not in adopted
    assert adopted["outputs"]["stringData"] == CIPHERTEXT, "A secret stays encrypted."


def test_a_predecessor_with_another_name_is_marked_for_deletion() -> None:
    old = record(kubernetes_resource("PersistentVolume", "volume-1", namespace=None), "volume-1")
    new = kubernetes_resource("PersistentVolume", "volume-2", namespace=None)
    change = resolve_pending(deployment(old, operations=pending_operations(new)), find_every_object)
    entries = [(entry["id"], entry.get("delete", False)) for entry in change.deployment["resources"][2:]]
    assert entries == [("volume-2", False), ("volume-1", True)]


def test_an_object_that_a_later_run_recorded_is_not_adopted_again() -> None:
    """A pending operation stays in the state during later runs, so a recorded object may have one."""
    pod = record(POD, "docker-registry/docker-registry")
    change = resolve_pending(deployment(pod, operations=pending_operations(POD, POD)), find_every_object)
    assert change.deployment["resources"][2:] == [pod]


def test_a_planned_object_that_exists_is_adopted() -> None:
    change = adopt_unrecorded(deployment(operations=[]), [POD], find_every_object)
    assert change.deployment["resources"][-1]["id"] == "docker-registry/docker-registry"
    assert change.adopted == ["Pod registry-pod"]


def test_an_adopted_object_keeps_its_name_if_the_planned_one_has_other_random_letters() -> None:
    volume = kubernetes_resource("PersistentVolume", "volume-7b8af017", namespace=None)
    change = adopt_unrecorded(
        deployment(operations=[]), [volume], lambda _: LiveObject("volume-00c0ffee", "pulumi-kubernetes-1")
    )
    entry = change.deployment["resources"][-1]
    assert entry["id"] == entry["inputs"]["metadata"]["name"] == "volume-00c0ffee"


def test_an_object_whose_dependency_is_not_recorded_is_not_adopted() -> None:
    pod = kubernetes_resource("Pod", "docker-registry", "urn of a Secret that is not recorded")
    change = adopt_unrecorded(deployment(operations=[]), [pod], lambda _: pytest.fail("The cluster was queried."))
    assert change.adopted == []


def test_a_planned_object_that_is_recorded_is_not_adopted_again() -> None:
    state = deployment(record(POD, "docker-registry/docker-registry"), operations=[])
    assert adopt_unrecorded(state, [POD], find_every_object).deployment == state


def cluster_with(*objects: ResourceInstance) -> Any:
    """Return a client of a cluster with these objects, for any kind."""

    def get(_: object, *, name: str = "", **__: object) -> Any:
        if not name:
            return SimpleNamespace(items=objects)
        for item in objects:
            if item.metadata.name == name:
                return item
        raise NotFoundError(ApiException(status=404))

    kind = SimpleNamespace(namespaced=False)
    return SimpleNamespace(get=get, resources=SimpleNamespace(get=lambda **_: kind))


def live_object(name: str, *managers: dict[str, Any], created: str = CREATED) -> ResourceInstance:
    metadata = {"name": name, "creationTimestamp": created, "managedFields": [*managers] or [manager()]}
    return ResourceInstance(None, {"kind": "Any", "metadata": metadata})


def manager(name: str = "pulumi-kubernetes-1", *, time: str = CREATED, label: str = "") -> dict[str, Any]:
    """Return the entry of a field manager, which owns the label `label`."""
    labels: dict[str, Any] = {"f:metadata": {"f:labels": {f"f:{label}": {}}}} if label else {}
    return {"manager": name, "time": time, "fieldsV1": labels}


def find_volume(name: str, *objects: ResourceInstance, any_suffix: bool = False) -> LiveObject | None:
    """Look among `objects` for a volume whose name ends in random letters of the provider."""
    volume = kubernetes_resource("PersistentVolume", name, namespace=None)
    volume["inputs"]["metadata"]["annotations"] = {"pulumi.com/autonamed": "true"}
    return find_object(cluster_with(*objects), volume, PERIODS, any_suffix=any_suffix)


PERIODS = [Period(datetime.fromisoformat("2026-11-24T08:09:09Z"), datetime.fromisoformat("2026-11-24T08:09:11Z"))]


def test_an_object_of_a_failed_update_is_found_with_other_random_letters() -> None:
    live = find_volume("volume-7b8af017", live_object("volume-00c0ffee"), any_suffix=True)
    assert live == LiveObject("volume-00c0ffee", "pulumi-kubernetes-1")


@pytest.mark.parametrize(
    "other",
    [
        live_object("volume-00c0ffee", created="2026-11-24T08:08:00Z"),
        live_object("volume-00c0ffee", manager("kubectl")),
        live_object("volumes-00c0ffee"),
    ],
    ids=["created before", "created by kubectl", "another name"],
)
def test_objects_that_the_failed_update_did_not_create_are_not_found(other: ResourceInstance) -> None:
    assert find_volume("volume-7b8af017", other, any_suffix=True) is None


def test_a_pending_creation_is_found_by_its_exact_name_only() -> None:
    assert find_volume("volume-7b8af017", live_object("volume-00c0ffee")) is None
    live = find_volume("volume-7b8af017", live_object("volume-7b8af017", created="2025-11-24T08:00:00Z"))
    assert live == LiveObject("volume-7b8af017", "pulumi-kubernetes-1")


LABEL = "run-docker-registry"


@pytest.mark.parametrize(
    ("managers", "expected"),
    [
        ([manager(label="zone"), manager("pulumi-kubernetes-2", label=LABEL)], "pulumi-kubernetes-2"),
        ([manager(label=LABEL, time="2026-11-24T08:08:00Z")], None),
        ([manager(label="zone")], None),
        ([manager("kubectl-label", label=LABEL)], None),
    ],
    ids=["owner of the label", "written before", "another label", "written by kubectl"],
)
def test_a_patch_is_found_by_the_manager_that_wrote_its_fields(
    managers: list[dict[str, Any]], expected: str | None
) -> None:
    """Two stacks may set the same label on one node. Each removes the fields of its own manager on `pulumi destroy`."""
    patch = kubernetes_resource("NodePatch", "k8s-master", namespace=None)
    patch["inputs"]["metadata"]["labels"] = {LABEL: "true"}
    node = live_object("k8s-master", *managers, created="2025-01-01T00:00:00Z")
    live = find_object(cluster_with(node), patch, PERIODS, any_suffix=False)
    assert live == (expected and LiveObject("k8s-master", expected))


def test_the_period_of_pending_operations_begins_shortly_before_the_state_was_written() -> None:
    written = datetime.now(UTC) - timedelta(hours=1)
    period = interrupted_period({"manifest": {"time": written.isoformat()}})
    assert period.includes(written - timedelta(seconds=30))
    assert not period.includes(written - timedelta(minutes=2))
    assert period.includes(datetime.now(UTC))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a file backend. The `pulumi` on PATH knows six commands and answers from files."""
    command = tmp_path / "bin" / "pulumi"
    command.parent.mkdir()
    command.write_text(
        f"""#!/bin/sh
        case "$*" in
            *whoami*) echo '{{"url": "file://{tmp_path}"}}';;
            *cancel*) rm -r {tmp_path}/.pulumi/locks;;
            *history*) cat {tmp_path}/history.json;;
            *preview*) cat {tmp_path}/preview.json;;
            *export*) cat {tmp_path}/state.json;;
            *import*) cat > {tmp_path}/imported.json;;
        esac
        """
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:/usr/bin:/bin")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    (tmp_path / "state.json").write_text(json.dumps({"version": 3, "deployment": deployment(operations=[])}))
    (tmp_path / "history.json").write_text("[]")
    return tmp_path


@pytest.fixture
def lock(project: Path) -> Callable[..., None]:
    """Return a function that locks the stack, as an engine with this PID did on that host, `age` seconds ago.

    Go writes the time in nanoseconds.
    """
    folder = project / ".pulumi/locks/organization/private-registry/dev"

    def take(pid: int, *, hostname: str = socket.gethostname(), age: float = 0) -> None:
        folder.mkdir(parents=True)
        timestamp = (
            (datetime.now(UTC) - timedelta(seconds=age)).isoformat(timespec="microseconds").replace("+00:00", "123Z")
        )
        entry = {"pid": pid, "username": "nice", "hostname": hostname, "timestamp": timestamp}
        (folder / "be50ff67.json").write_text(json.dumps(entry))

    return take


@pytest.fixture
def dead_pid() -> int:
    """Return the PID of a process that has ended."""
    with subprocess.Popen(["true"]) as process:
        return process.pid


def test_recover_changes_nothing_without_an_interruption(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_recovery(recover("dev"))
    output = capsys.readouterr().out
    assert len(output.splitlines()) == 1
    assert "pulumi up" not in output
    assert not (project / "imported.json").exists()


def test_a_stale_lock_is_released_and_pending_operations_are_resolved(
    project: Path, lock: Callable[..., None], dead_pid: int, capsys: pytest.CaptureFixture[str]
) -> None:
    lock(dead_pid)
    key = resource("tls:index/privateKey:PrivateKey", "registry-tls-key")
    state: dict[str, Any] = {"version": 3, "deployment": deployment(operations=pending_operations(key))}
    (project / "state.json").write_text(json.dumps(state))
    print_recovery(recover("dev"))
    assert not (project / ".pulumi/locks").exists()
    imported = json.loads((project / "imported.json").read_text())
    assert imported == {"version": 3, "deployment": {**state["deployment"], "pending_operations": []}}
    output = capsys.readouterr().out
    assert f"process {dead_pid}" in output
    assert "PrivateKey registry-tls-key, creating" in output
    assert output.endswith("→ pulumi up --refresh\n")


def update(minute: int, result: str = "failed", kind: str = "update") -> dict[str, str]:
    return {
        "kind": kind,
        "result": result,
        "startTime": f"2026-11-24T08:{minute:02}:00.000Z",
        "endTime": f"2026-11-24T08:{minute:02}:09.000Z",
    }


@pytest.mark.parametrize("kind", ["update", "destroy"])
def test_only_failed_updates_since_the_last_successful_one_count(project: Path, kind: str) -> None:
    running = {"kind": "update", "result": "in-progress", "startTime": "2026-11-24T08:10:00.000Z"}
    refreshes = [update(8, kind="refresh"), update(8, "succeeded", "refresh")]
    history = [running, update(9), *refreshes, update(7), update(6, "succeeded", kind), update(5)]
    (project / "history.json").write_text(json.dumps(history))
    assert [period.start.minute for period in read_failed_periods("dev")] == [9, 8, 7]


def test_planned_creations_have_no_placeholders(project: Path) -> None:
    unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
    secret = kubernetes_resource(
        "Secret", "auth-secret", inputs={"data": "[secret]", "spec": [{"uid": unknown, "kept": 1}]}
    )
    steps = [{"op": "same", "newState": POD}, {"op": "create", "newState": secret}]
    (project / "preview.json").write_text(json.dumps({"steps": steps}))
    assert preview_creations("dev") == [kubernetes_resource("Secret", "auth-secret", inputs={"spec": [{"kept": 1}]})]


def test_no_creation_is_planned_if_the_preview_fails(project: Path) -> None:
    assert preview_creations("dev") == [], "The file preview.json is missing."


def test_the_lock_of_a_running_engine_stays(project: Path, lock: Callable[..., None]) -> None:
    lock(os.getpid())
    with pytest.raises(CommandError, match=f"nice@.*, process {os.getpid()}") as error:
        recover("dev")
    assert "pulumi cancel" not in error.value.remedy
    assert (project / ".pulumi/locks").exists()


def test_the_lock_of_an_engine_on_another_machine_stays(
    project: Path, lock: Callable[..., None], dead_pid: int
) -> None:
    lock(dead_pid, hostname="elsewhere")
    with pytest.raises(CommandError, match="nice@elsewhere") as error:
        recover("dev")
    assert "`pulumi cancel`" in error.value.remedy
    assert (project / ".pulumi/locks").exists()


def test_a_later_process_with_the_same_pid_is_not_the_engine(project: Path, lock: Callable[..., None]) -> None:
    lock(os.getpid(), age=365 * 86_400)
    assert recover("dev").lock_owner.endswith(f"process {os.getpid()}")


def test_incomplete_files_of_the_stack_are_removed(project: Path) -> None:
    folder = project / ".pulumi/stacks/private-registry"
    folder.mkdir(parents=True)
    complete = {"dev.json": "{}", "dev.json.bak": "{}", "dev.json.bak.attrs": "{}", "dev2.json.attrs": ""}
    for name, text in {**complete, "dev.json.attrs": "", "dev.json.18ead6.tmp": "{"}.items():
        (folder / name).write_text(text)
    assert sorted(recover("dev").removed_files) == ["dev.json.18ead6.tmp", "dev.json.attrs"]
    assert {path.name: path.read_text() for path in folder.iterdir()} == complete, "Files of other stacks are kept."


def test_a_backend_other_than_a_file_backend_has_no_files(project: Path) -> None:
    (project / "bin/pulumi").write_text('#!/bin/sh\necho \'{"url": "s3://bucket"}\'\n')
    assert file_backend.find_stack_files("dev") is None


Plugin = Callable[[str], psutil.Process]


@pytest.fixture
def orphan(project: Path) -> Iterator[Plugin]:
    """Return a function that starts a plugin whose engine ends. The test ends the plugin if it still runs."""
    program = project / "pulumi-resource-test"
    shutil.copy(shutil.which("sleep") or "", program)
    started: list[psutil.Process] = []

    def start(home: str) -> psutil.Process:
        script = f"{program} 60 >/dev/null 2>&1 & echo $!"
        run = subprocess.run(
            ["sh", "-c", script], env={"PULUMI_HOME": home}, capture_output=True, text=True, check=True
        )
        started.append(plugin := psutil.Process(int(run.stdout)))
        while plugin.name() != program.name:  # the shell has forked, and the child runs the program a moment later
            time.sleep(0.01)
        return plugin

    yield start
    for process in started:
        if process.is_running():
            process.kill()


def has_ended(process: psutil.Process) -> bool:
    """Return whether a process has ended. It may be a zombie, if its parent has not read its status."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_plugins_without_an_engine_are_ended(project: Path, orphan: Plugin) -> None:
    plugin = orphan(str(project))
    assert end_orphan_plugins() == [f"pulumi-resource-test ({plugin.pid})"]
    assert has_ended(plugin)


def test_plugins_of_another_installation_keep_running(orphan: Plugin) -> None:
    plugin = orphan("/another/home")
    assert end_orphan_plugins() == []
    assert plugin.is_running()


def test_plugins_of_a_running_engine_keep_running(project: Path, orphan: Plugin) -> None:
    with subprocess.Popen([project / "pulumi-resource-test", "60"], env={"PULUMI_HOME": str(project)}) as plugin:
        assert end_orphan_plugins() == []
        assert plugin.poll() is None
        plugin.kill()


def test_no_operation_is_resolved_while_the_cluster_cannot_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object that cannot be looked up may still exist."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        cluster = {"name": "dev", "cluster": {"server": f"http://127.0.0.1:{bound.getsockname()[1]}"}}
        context = {"name": "dev", "context": {"cluster": "dev", "user": "dev"}}
        config = {"clusters": [cluster], "contexts": [context], "users": [{"name": "dev", "user": {}}]}
        (tmp_path / "kubeconfig").write_text(json.dumps({**config, "current-context": "dev"}))
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))
        with pytest.raises(ClusterError, match="refused"):
            resolve_pending(deployment(operations=pending_operations(POD)), create_object_finder([]))


def test_a_recovery_without_changes_is_empty_and_needs_no_refresh(capsys: pytest.CaptureFixture[str]) -> None:
    empty = {"unlocked": "", "mended": [], "ended": [], "adopted": [], "dropped": [], "refresh": False}
    assert Recovery("", [], [], [], []).is_empty
    print_recovery_json(Recovery("", [], [], [], []))
    assert json.loads(capsys.readouterr().out) == empty
    recovery = Recovery("", [], [], [], ["Pod registry-pod, creating"])
    assert not recovery.is_empty
    print_recovery_json(recovery)
    assert json.loads(capsys.readouterr().out) == {**empty, "dropped": recovery.dropped, "refresh": True}
