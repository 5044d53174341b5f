"""`ops recover`: the state after an interruption, and what a killed engine leaves in files and processes."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic.exceptions import NotFoundError

from ops import backend, engine
from ops.cluster import _find, finder
from ops.recover import Recovered, recover, show
from ops.stack import Refusal
from ops.state import Live, Resource, adopt, settle
from ops.unnoted import Span, failed_updates, wanted

ROOT = "urn:pulumi:dev::private-registry::"
COMPONENT = f"{ROOT}private-registry:index:PrivateRegistry::registry"
PARENT = f"{ROOT}private-registry:index:PrivateRegistry$"
CIPHERTEXT = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:cut:cut"}


def resource(kind: str, name: str, *needs: str, **more: Any) -> dict[str, Any]:
    """A resource as the engine notes it before it knows an ID."""
    common = {"custom": True, "type": kind, "parent": COMPONENT, "dependencies": list(needs)}
    return {"urn": f"{PARENT}{kind}::{name}", **common, "inputs": {}, **more}


def kubernetes(
    kind: str, name: str, *needs: str, namespace: str | None = "docker-registry", **more: Any
) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    inputs = {"apiVersion": "v1", "kind": kind.removesuffix("Patch"), "metadata": metadata, **more.pop("inputs", {})}
    return resource(f"kubernetes:core/v1:{kind}", f"registry-{kind.lower()}", *needs, inputs=inputs, **more)


def known(pending: dict[str, Any], identity: str, **more: Any) -> dict[str, Any]:
    """The same resource once the engine knows its end."""
    return {**pending, "id": identity, "outputs": pending["inputs"], **more}


def pending(*resources: dict[str, Any], kind: str = "creating") -> list[dict[str, Any]]:
    return [{"resource": each, "type": kind} for each in resources]


def everything_lives(resource: Resource) -> Live:
    metadata = resource["inputs"]["metadata"]
    return Live("/".join([*filter(None, [metadata.get("namespace")]), metadata["name"]]), "pulumi-kubernetes-1")


def nothing_lives(_: Resource) -> None:
    return None


STACK = {"urn": f"{ROOT}pulumi:pulumi:Stack::private-registry-dev", "custom": False, "type": "pulumi:pulumi:Stack"}
REGISTRY = {"urn": COMPONENT, "custom": False, "type": "private-registry:index:PrivateRegistry", "parent": STACK["urn"]}
POD = kubernetes("Pod", "docker-registry")


def deployment(*resources: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    return {"manifest": {}, "resources": [STACK, REGISTRY, *resources], "pending_operations": operations}


def urns(settled: dict[str, Any]) -> list[str]:
    return [str(each["urn"]).rpartition("::")[2] for each in settled["resources"][2:]]


def test_a_live_pod_comes_into_the_state_with_its_id_and_its_field_manager() -> None:
    settled = settle(deployment(operations=pending(POD)), everything_lives)
    adopted = settled.deployment["resources"][-1]
    assert adopted["id"] == "docker-registry/docker-registry"
    assert adopted["outputs"] == {**POD["inputs"], "__fieldManager": "pulumi-kubernetes-1"}
    assert settled.deployment["pending_operations"] == []
    assert settled.adopted == ["Pod registry-pod"]


def test_an_object_without_a_namespace_has_its_name_for_id() -> None:
    volume = kubernetes("PersistentVolume", "volume-7b8af017", namespace=None)
    settled = settle(deployment(operations=pending(volume)), everything_lives)
    assert settled.deployment["resources"][-1]["id"] == "volume-7b8af017"


def test_what_does_not_live_is_forgotten() -> None:
    settled = settle(deployment(operations=pending(POD)), nothing_lives)
    assert (urns(settled.deployment), settled.dropped) == ([], ["Pod registry-pod, creating"])


@pytest.mark.parametrize(
    "operations",
    [
        pending(resource("tls:index/privateKey:PrivateKey", "registry-tls-key")),
        pending(kubernetes("NodePatch", "k8s-master", namespace=None)),
        pending(kubernetes("Node", "k8s-master", namespace=None, external=True), kind="reading"),
        pending(kubernetes("Node", "k8s-master", namespace=None, external=True)),
        pending(resource("kubernetes:helm.sh/v3:Release", "chart")),
        pending(known(POD, "docker-registry/docker-registry"), kind="updating"),
        pending(known(POD, "docker-registry/docker-registry"), kind="deleting"),
    ],
    ids=lambda operations: f"{operations[0]['type']}-{operations[0]['resource']['type'].rpartition(':')[2]}",
)
def test_what_is_no_new_object_on_the_cluster_is_not_looked_for(operations: list[dict[str, Any]]) -> None:
    settled = settle(deployment(operations=operations), lambda _: pytest.fail("the cluster was asked"))
    assert (urns(settled.deployment), len(settled.dropped)) == ([], 1)


def test_an_interrupted_update_leaves_the_resource_where_it_is() -> None:
    service = known(kubernetes("Service", "docker-registry"), "docker-registry/docker-registry")
    settled = settle(deployment(service, operations=pending(service, kind="updating")), everything_lives)
    assert settled.deployment["resources"][-1] == service


def test_what_a_resource_needs_comes_before_it_in_whatever_order_it_was_noted() -> None:
    namespace = kubernetes("Namespace", "docker-registry", namespace=None)
    claim = kubernetes("PersistentVolumeClaim", "repository", namespace["urn"])
    volume = kubernetes("PersistentVolume", "volume", claim["urn"], namespace=None, deletedWith=namespace["urn"])
    settled = settle(deployment(operations=pending(volume, claim, namespace)), everything_lives)
    assert urns(settled.deployment) == [
        "registry-namespace",
        "registry-persistentvolumeclaim",
        "registry-persistentvolume",
    ]


def test_a_replacement_takes_the_place_of_the_one_that_was_deleted_for_it() -> None:
    """Its dependents stay behind it."""
    secret = kubernetes("Secret", "auth-secret")
    old = known(secret, "docker-registry/auth-secret", pendingReplacement=True)
    pod = known(kubernetes("Pod", "docker-registry", secret["urn"]), "docker-registry/docker-registry")
    new = {**secret, "inputs": {**secret["inputs"], "stringData": CIPHERTEXT}}
    settled = settle(deployment(old, pod, operations=pending(new)), everything_lives)
    assert urns(settled.deployment) == ["registry-secret", "registry-pod"]
    adopted = settled.deployment["resources"][2]
    assert "pendingReplacement" not in adopted
    assert adopted["outputs"]["stringData"] == CIPHERTEXT, "a secret stays as it was encrypted"


def test_a_replacement_under_another_name_leaves_the_old_one_to_be_deleted() -> None:
    old = known(kubernetes("PersistentVolume", "volume-1", namespace=None), "volume-1")
    new = kubernetes("PersistentVolume", "volume-2", namespace=None)
    settled = settle(deployment(old, operations=pending(new)), everything_lives)
    entries = [(each["id"], each.get("delete", False)) for each in settled.deployment["resources"][2:]]
    assert entries == [("volume-2", False), ("volume-1", True)]


def test_what_a_second_attempt_created_is_not_taken_twice() -> None:
    """A pending operation stays in the state while later runs go on."""
    pod = known(POD, "docker-registry/docker-registry")
    settled = settle(deployment(pod, operations=pending(POD, POD)), everything_lives)
    assert settled.deployment["resources"][2:] == [pod]


def test_what_the_program_wants_and_is_live_without_a_note_is_taken_in() -> None:
    adopted = adopt(deployment(operations=[]), [POD], everything_lives)
    assert adopted.deployment["resources"][-1]["id"] == "docker-registry/docker-registry"
    assert adopted.adopted == ["Pod registry-pod"]


def test_an_object_under_other_letters_than_the_preview_chose_keeps_its_own() -> None:
    volume = kubernetes("PersistentVolume", "volume-7b8af017", namespace=None)
    adopted = adopt(deployment(operations=[]), [volume], lambda _: Live("volume-00c0ffee", "pulumi-kubernetes-1"))
    entry = adopted.deployment["resources"][-1]
    assert entry["id"] == entry["inputs"]["metadata"]["name"] == "volume-00c0ffee"


def test_what_needs_something_that_the_state_does_not_know_is_left_to_the_next_up() -> None:
    pod = kubernetes("Pod", "docker-registry", "urn of a Secret that is nowhere")
    settled = adopt(deployment(operations=[]), [pod], lambda _: pytest.fail("the cluster was asked"))
    assert settled.adopted == []


def test_what_is_in_the_state_is_not_taken_in_again() -> None:
    state = deployment(known(POD, "docker-registry/docker-registry"), operations=[])
    assert adopt(state, [POD], everything_lives).deployment == state


CREATED = "2026-11-24T08:09:10Z"


def dynamic(*objects: SimpleNamespace) -> Any:
    """A client of a cluster with these objects, of whatever kind."""

    def get(_: object, *, name: str = "", **__: object) -> Any:
        if not name:
            return SimpleNamespace(items=objects)
        for each in objects:
            if each.metadata.name == name:
                return each
        raise NotFoundError(ApiException(status=404))

    kind = SimpleNamespace(namespaced=False)
    return SimpleNamespace(get=get, resources=SimpleNamespace(get=lambda **_: kind))


def live(name: str, *, created: str = CREATED, manager: str = "pulumi-kubernetes-1") -> SimpleNamespace:
    managers = [SimpleNamespace(manager=manager)]
    return SimpleNamespace(metadata=SimpleNamespace(name=name, creationTimestamp=created, managedFields=managers))


def look(wanted: str, *objects: SimpleNamespace, spans: Collection[Span] = ()) -> Live | None:
    """What is found of a volume whose name the provider ended with letters of its own."""
    volume = kubernetes("PersistentVolume", wanted, namespace=None)
    volume["inputs"]["metadata"]["annotations"] = {"pulumi.com/autonamed": "true"}
    return _find(dynamic(*objects), volume["inputs"], spans)


WHILE = [Span(datetime.fromisoformat("2026-11-24T08:09:09Z"), datetime.fromisoformat("2026-11-24T08:09:11Z"))]


def test_what_was_made_while_an_update_failed_is_found_even_under_other_letters() -> None:
    found = look("volume-7b8af017", live("volume-00c0ffee"), spans=WHILE)
    assert found == Live("volume-00c0ffee", "pulumi-kubernetes-1")


@pytest.mark.parametrize(
    "other",
    [
        live("volume-00c0ffee", created="2026-11-24T08:08:00Z"),
        live("volume-00c0ffee", manager="kubectl"),
        live("volumes-00c0ffee"),
    ],
    ids=["made before", "made by somebody else", "named otherwise"],
)
def test_what_somebody_else_made_stays_theirs(other: SimpleNamespace) -> None:
    assert look("volume-7b8af017", other, spans=WHILE) is None


def test_of_a_pending_creation_the_letters_are_known() -> None:
    assert look("volume-7b8af017", live("volume-00c0ffee")) is None
    assert look("volume-7b8af017", live("volume-7b8af017")) == Live("volume-7b8af017", "pulumi-kubernetes-1")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file backend in the folder, with an engine on PATH that knows six commands and answers from files."""
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
    folder = project / ".pulumi/locks/organization/private-registry/dev"

    def take(pid: int, *, hostname: str = socket.gethostname(), age: float = 0) -> None:
        folder.mkdir(parents=True)
        taken = (datetime.now(UTC) - timedelta(seconds=age)).isoformat().replace("+00:00", "123Z")
        holder = {"pid": pid, "username": "nice", "hostname": hostname, "timestamp": taken}
        (folder / "be50ff67.json").write_text(json.dumps(holder))

    return take


@pytest.fixture
def gone() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen(["true"]) as process:
        return process.pid


def test_without_an_interruption_there_is_nothing_to_recover(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show(recover("dev"))
    assert capsys.readouterr().out == "nothing to recover\n"
    assert not (project / "imported.json").exists()


def test_the_lock_of_a_killed_engine_is_released_and_its_operations_settled(
    project: Path, lock: Callable[..., None], gone: int, capsys: pytest.CaptureFixture[str]
) -> None:
    lock(gone)
    key = resource("tls:index/privateKey:PrivateKey", "registry-tls-key")
    state: dict[str, Any] = {"version": 3, "deployment": deployment(operations=pending(key))}
    (project / "state.json").write_text(json.dumps(state))
    show(recover("dev"))
    assert not (project / ".pulumi/locks").exists()
    imported = json.loads((project / "imported.json").read_text())
    assert imported == {"version": 3, "deployment": {**state["deployment"], "pending_operations": []}}
    shown = capsys.readouterr().out
    assert f"process {gone}" in shown
    assert "PrivateKey registry-tls-key, creating" in shown
    assert shown.endswith("→ pulumi up --refresh\n")


def update(minute: int, result: str = "failed", kind: str = "update") -> dict[str, str]:
    return {
        "kind": kind,
        "result": result,
        "startTime": f"2026-11-24T08:{minute:02}:00.000Z",
        "endTime": f"2026-11-24T08:{minute:02}:09.000Z",
    }


@pytest.mark.parametrize("kind", ["update", "destroy"])
def test_only_updates_that_failed_since_one_succeeded_are_looked_into(project: Path, kind: str) -> None:
    running = {"kind": "update", "result": "in-progress", "startTime": "2026-11-24T08:10:00.000Z"}
    history = [running, update(9), update(8, kind="refresh"), update(7), update(6, "succeeded", kind), update(5)]
    (project / "history.json").write_text(json.dumps(history))
    assert [span.start.minute for span in failed_updates("dev")] == [9, 8, 7]


def test_of_a_preview_what_it_creates_is_wanted_without_what_it_does_not_tell(project: Path) -> None:
    unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
    secret = kubernetes("Secret", "auth-secret", inputs={"data": "[secret]", "spec": [{"uid": unknown, "kept": 1}]})
    steps = [{"op": "same", "newState": POD}, {"op": "create", "newState": secret}]
    (project / "preview.json").write_text(json.dumps({"steps": steps}))
    assert wanted("dev") == [kubernetes("Secret", "auth-secret", inputs={"spec": [{"kept": 1}]})]


def test_a_program_that_cannot_be_asked_wants_nothing(project: Path) -> None:
    assert wanted("dev") == [], "there is no preview.json"


def test_an_engine_at_work_keeps_its_lock(project: Path, lock: Callable[..., None]) -> None:
    lock(os.getpid())
    with pytest.raises(Refusal, match=f"is being worked on by nice@.*, process {os.getpid()}: wait for it"):
        recover("dev")
    assert (project / ".pulumi/locks").exists()


def test_an_engine_on_another_machine_keeps_its_lock(project: Path, lock: Callable[..., None], gone: int) -> None:
    lock(gone, hostname="elsewhere")
    with pytest.raises(Refusal, match="locked by nice@elsewhere"):
        recover("dev")
    assert (project / ".pulumi/locks").exists()


def test_a_later_process_of_the_same_number_is_not_the_engine(project: Path, lock: Callable[..., None]) -> None:
    lock(os.getpid(), age=365 * 86_400)
    assert recover("dev").unlocked.endswith(f"process {os.getpid()}")


def test_a_checkpoint_cut_in_writing_is_made_readable_again(project: Path) -> None:
    folder = project / ".pulumi/stacks/private-registry"
    folder.mkdir(parents=True)
    whole = {"dev.json": "{}", "dev.json.bak": "{}", "dev.json.bak.attrs": "{}", "dev2.json.attrs": ""}
    for name, text in {**whole, "dev.json.attrs": "", "dev.json.18ead6.tmp": "{"}.items():
        (folder / name).write_text(text)
    assert sorted(recover("dev").mended) == ["dev.json.18ead6.tmp", "dev.json.attrs"]
    assert {path.name: path.read_text() for path in folder.iterdir()} == whole, "other stacks' files are left alone"


def test_other_backends_keep_their_files_to_themselves(project: Path) -> None:
    (project / "bin/pulumi").write_text('#!/bin/sh\necho \'{"url": "s3://bucket"}\'\n')
    assert backend.files_of("dev") is None


Plugin = Callable[[str], psutil.Process]


@pytest.fixture
def orphan(project: Path) -> Iterator[Plugin]:
    """Starts a plugin and lets its engine end; whatever is left of it ends with the test."""
    program = project / "pulumi-resource-test"
    shutil.copy(shutil.which("sleep") or "", program)
    started: list[psutil.Process] = []

    def start(home: str) -> psutil.Process:
        script = f"{program} 60 >/dev/null 2>&1 & echo $!"
        run = subprocess.run(
            ["sh", "-c", script], env={"PULUMI_HOME": home}, capture_output=True, text=True, check=True
        )
        started.append(psutil.Process(int(run.stdout)))
        return started[-1]

    yield start
    for process in started:
        if process.is_running():
            process.kill()


def test_plugins_end_whose_engine_is_gone(project: Path, orphan: Plugin) -> None:
    plugin = orphan(str(project))
    assert engine.end_leftovers() == [f"pulumi-resource-test ({plugin.pid})"]
    assert not plugin.is_running() or plugin.status() == psutil.STATUS_ZOMBIE


def test_plugins_of_another_installation_go_on(orphan: Plugin) -> None:
    plugin = orphan("/another/home")
    assert engine.end_leftovers() == []
    assert plugin.is_running()


def test_plugins_of_a_living_engine_go_on(project: Path, orphan: Plugin) -> None:
    with subprocess.Popen([project / "pulumi-resource-test", "60"], env={"PULUMI_HOME": str(project)}) as plugin:
        assert engine.end_leftovers() == []
        assert plugin.poll() is None
        plugin.kill()


def test_nothing_is_settled_while_the_cluster_is_out_of_sight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object that cannot be looked for is not an object that is gone."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        cluster = {"name": "dev", "cluster": {"server": f"http://127.0.0.1:{bound.getsockname()[1]}"}}
        context = {"name": "dev", "context": {"cluster": "dev", "user": "dev"}}
        config = {"clusters": [cluster], "contexts": [context], "users": [{"name": "dev", "user": {}}]}
        (tmp_path / "kubeconfig").write_text(json.dumps({**config, "current-context": "dev"}))
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))
        with pytest.raises(Refusal, match=r"cannot see what lives on the cluster: .*refused"):
            settle(deployment(operations=pending(POD)), finder())


def test_what_was_done_is_told_apart_from_nothing() -> None:
    assert Recovered("", [], [], [], []).nothing
    assert not Recovered("", [], [], [], ["Pod registry-pod, creating"]).nothing
