"""Pods of other namespaces pull, on every node, with a Secret that stays current and touches nothing of others."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from dev.cluster.plan import NODES
from registry.discovery import ALREADY_ANNOUNCED
from registry.validation.pull_secrets import refuse_other_pull_secrets
from tests.e2e.lab import ADDRESS, Lab, Registry, eventually, of_secret
from tests.e2e.refusals import message

pytestmark = pytest.mark.e2e

SECRET = "pulled-pull"
WHERE: dict[str, Any] = {
    **{"namespace": "pulled", "storage_path": "/var/lib/pulled", "port": 5021},
    **{"exposure": "external-ips", "external_ips": [ADDRESS]},
}
TRUSTED: dict[str, Any] = {**WHERE, "node_trust": True}
CHOSEN = "correct horse battery"
LOAD = """
for i in $(seq 100000); do
    [ -e "$1" ] && exit
    curl --silent --max-time 10 --cacert "$2" --config "$3" --connect-to "$4" \\
        --output /dev/null --write-out '%{http_code}\\n' "$5"
    sleep 0.1
done
"""


@pytest.fixture
def builds(lab: Lab) -> Iterator[str]:
    """A namespace of others. Requested before the registry, it outlives it."""
    yield from namespace(lab, "builds")


@pytest.fixture
def theirs(lab: Lab) -> Iterator[str]:
    yield from namespace(lab, "theirs")


def namespace(lab: Lab, name: str) -> Iterator[str]:
    lab.kubectl("create", "namespace", name)
    eventually(10, "it has its ServiceAccount", lambda: lab.api.exists("serviceaccount", "default", name))
    yield name
    lab.kubectl("delete", "namespace", name)


@contextmanager
def found_and_not_trusted(lab: Lab, served: Registry) -> Iterator[None]:
    """Every node finds the registry, as by a DNS server, but nobody gave it the CA; until the block ends."""
    endpoint = served.outputs["endpoint"]
    hosts = f'server = "https://{endpoint}"\n[host."https://{served.at}"]\n  capabilities = ["pull", "resolve"]\n'
    folders = [lab.cluster.path(node.name, f"/etc/containerd/certs.d/{endpoint}") for node in NODES]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "hosts.toml").write_text(hosts)
    try:
        yield
    finally:
        for folder in folders:
            shutil.rmtree(folder)


@contextmanager
def running(lab: Lab, where: str, node: str, image: str, secret: str | None) -> Iterator[None]:
    """A Deployment on that node, of an image that is asked for anew whenever it starts; gone when the block ends."""
    labels = {"app": "puller"}
    container = {"name": "it", "image": image, "imagePullPolicy": "Always", "command": ["sleep", "600"]}
    pod: dict[str, Any] = {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]}
    if secret:
        pod["imagePullSecrets"] = [{"name": secret}]
    deployment = {
        **{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "puller", "namespace": where}},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }
    lab.place.run("kubectl", "create", "--filename", "-", stdin=json.dumps(deployment))
    try:
        yield
    finally:
        lab.kubectl("delete", "deployment", "puller", "--namespace", where, "--cascade=foreground")
        lab.kubectl("delete", "events", "--all", "--namespace", where)


def runs(lab: Lab, where: str, node: str, image: str, secret: str | None) -> None:
    with running(lab, where, node, image, secret):
        lab.kubectl("rollout", "status", "deployment/puller", "--namespace", where, "--timeout=60s")


def fails(lab: Lab, where: str, node: str, image: str, secret: str | None) -> str:
    """Why the node does not pull it, in the words of the event."""
    told: list[str] = []

    def failed() -> bool:
        events = lab.api.objects("events", where, fields="reason=Failed")
        told[:] = [each["message"] for each in events if "pull image" in each["message"]]
        pods = lab.api.objects("pods", where)
        containers = [each for pod in pods for each in pod["status"].get("containerStatuses", ())]
        reasons = [each["state"].get("waiting", {}).get("reason") for each in containers]
        return bool(told) and reasons in (["ErrImagePull"], ["ImagePullBackOff"])

    with running(lab, where, node, image, secret):
        eventually(60, "the pull fails", failed)
    return told[0]


def image_of(lab: Lab, served: Registry, tag: str) -> str:
    """Push the test image as `tag`, as a person on the laptop does; its reference."""
    endpoint = served.outputs["endpoint"]
    trust = lab.cluster.path("laptop", f"/etc/docker/certs.d/{endpoint}")
    trust.mkdir(parents=True, exist_ok=True)
    (trust / "ca.crt").write_text(served.outputs["ca_pem"])
    login = ("login", endpoint, "--username", served.outputs["username"], "--password-stdin")
    for arguments, stdin in (
        (login, served.outputs["password"]),
        (("tag", "busybox:1.35", f"{endpoint}/{tag}"), None),
        (("push", f"{endpoint}/{tag}"), None),
    ):
        done = lab.docker(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
    return f"{endpoint}/{tag}"


def identity(lab: Lab, where: str) -> str:
    return str(lab.get("secret", SECRET, where)["metadata"]["uid"])


def login_of(lab: Lab, where: str, name: str = SECRET) -> Mapping[str, str]:
    (login,) = json.loads(of_secret(lab, where, name)[".dockerconfigjson"])["auths"].values()
    return dict(login)


def test_pods_pull_on_every_node_with_the_secret_and_not_without(
    lab: Lab, builds: str, registry: Callable[..., Registry]
) -> None:
    served = registry("pulled", pull_secrets=[builds], **WHERE)
    image = image_of(lab, served, "team/app:1")
    with found_and_not_trusted(lab, served):
        for node in NODES:
            assert "x509: certificate signed by unknown authority" in fails(lab, builds, node.name, image, SECRET)
    served = registry("pulled", pull_secrets=[builds], **TRUSTED)
    for node in NODES:
        why = fails(lab, builds, node.name, image, None)
        assert "401" in why or "authorization failed" in why, why
        runs(lab, builds, node.name, image, SECRET)
    state = served.project.pulumi("stack", "export")
    assert served.outputs["password"] not in state
    assert lab.get("secret", SECRET, builds)["data"][".dockerconfigjson"] not in state
    served.project.up("--expect-no-changes", "--refresh")
    registry("pulled", **WHERE)
    for node in NODES:
        assert not lab.cluster.path(node.name, f"/etc/containerd/certs.d/{served.outputs['endpoint']}").exists()
    assert SECRET not in lab.kubectl("get", "secrets", "--namespace", builds, "--output", "name")


def test_a_changed_password_reaches_the_secret_in_the_same_up_and_in_place(
    lab: Lab, builds: str, registry: Callable[..., Registry]
) -> None:
    first = registry("pulled", pull_secrets=[builds], **TRUSTED)
    image = image_of(lab, first, "team/app:2")
    uid = identity(lab, builds)
    second = registry("pulled", {"passwords.centos": CHOSEN}, pull_secrets=[builds], **TRUSTED)
    assert login_of(lab, builds)["password"] == CHOSEN == second.outputs["password"]
    assert identity(lab, builds) == uid, "there was no moment without it"
    eventually(120, "the registry takes the new password", lambda: second.status("/v2/") == 200)
    for node in NODES:
        runs(lab, builds, node.name, image, SECRET)
    more = {"labels": {"example.com/team": "red"}}
    third = registry("pulled", {"passwords.centos": CHOSEN}, pull_secrets=[builds], **more, **TRUSTED)
    assert lab.get("secret", SECRET, builds)["metadata"]["labels"]["example.com/team"] == "red"
    assert login_of(lab, builds)["password"] == CHOSEN, "a change of labels brings no old content back"
    third.project.up("--expect-no-changes", "--refresh")
    assert identity(lab, builds) == uid
    lab.kubectl("delete", "secret", SECRET, "--namespace", builds)
    third.project.up("--refresh")
    assert login_of(lab, builds)["password"] == CHOSEN, "nor does the Secret's loss"


def used(lab: Lab, where: str) -> list[str]:
    """The pull Secrets of the default ServiceAccount."""
    return [each["name"] for each in lab.get("serviceaccount", "default", where).get("imagePullSecrets", [])]


def test_the_default_service_account_pulls_and_nothing_of_others_is_lost(
    lab: Lab, builds: str, theirs: str, registry: Callable[..., Registry]
) -> None:
    asked = {**TRUSTED, "default_pull_secret": True}
    patch = ("patch", "serviceaccount", "default", "--patch")
    before = lab.get("serviceaccount", "default", builds)
    served = registry("pulled", pull_secrets=[builds], **asked)
    image = image_of(lab, served, "team/app:3")
    runs(lab, builds, NODES[1].name, image, None)
    assert used(lab, builds) == [SECRET]
    served.project.up("--expect-no-changes", "--refresh")

    lab.kubectl(*patch, '{"imagePullSecrets": [{"name": "mine"}]}', "--namespace", theirs)
    served.project.configure(pull_secrets=[builds, theirs], **asked)
    assert message(refuse_other_pull_secrets, theirs, SECRET, ["mine"]) in served.project.refused()
    assert used(lab, theirs) == ["mine"]

    add = '[{"op": "add", "path": "/imagePullSecrets/-", "value": {"name": "added"}}]'
    lab.kubectl(*patch, add, "--type=json", "--namespace", builds)
    assert used(lab, builds) == [SECRET, "added"]
    served.project.configure(pull_secrets=[builds], **asked)
    for command in ("preview", "up"):
        assert message(refuse_other_pull_secrets, builds, SECRET, [SECRET, "added"]) in served.project.refused(command)
    assert used(lab, builds) == [SECRET, "added"]
    registry("pulled", pull_secrets=[builds], **TRUSTED)
    assert used(lab, builds) == [SECRET, "added"], "the list is theirs since they wrote it"

    lab.kubectl(*patch, '{"imagePullSecrets": null}', "--namespace", builds)
    served = registry("pulled", pull_secrets=[builds], **asked)
    assert used(lab, builds) == [SECRET]
    served.project.pulumi("destroy", "--yes", "--skip-preview")
    after = lab.get("serviceaccount", "default", builds)
    assert without_versions(after) == without_versions(before)
    assert lab.kubectl("get", "secrets", "--namespace", builds, "--output", "name") == ""


def without_versions(account: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in account["metadata"].items() if key != "resourceVersion"}
    return {**account, "metadata": metadata}


def test_a_namespace_that_is_not_there_is_refused_before_anything_is_made(registry: Callable[..., Registry]) -> None:
    served = registry("pulled", **WHERE)
    served.project.configure(pull_secrets=["nowhere"], **WHERE)
    said = served.project.refused()
    assert "registry-pull-secrets-nowhere-from-kubectl-get-namespaces" in said
    assert "'nowhere' does not exist" in said


def test_a_cluster_tells_of_one_registry_and_the_second_is_refused(lab: Lab, registry: Callable[..., Registry]) -> None:
    registry("pulled", discovery=True, **WHERE)
    hosting = ("local-registry-hosting", "kube-public")
    told = lab.get("configmap", *hosting)
    assert json.loads(told["data"]["localRegistryHosting.v1"]) == {
        "host": "docker-registry:5021",
        "hostFromContainerRuntime": "docker-registry:5021",
        "hostFromClusterNetwork": "docker-registry.pulled.svc:5021",
    }
    second: dict[str, Any] = {"namespace": "rival", "storage_path": "/var/lib/rival"}
    rival = registry("rival", **second)
    rival.project.configure(discovery=True, **second)
    said = rival.project.refused("up")
    assert ALREADY_ANNOUNCED in said
    assert 'configmaps "local-registry-hosting" already exists' in said
    rival.project.pulumi("destroy", "--yes", "--skip-preview")
    assert lab.get("configmap", *hosting) == told


def tell(served: Registry) -> None:
    """Hand the login of the outputs to the clients, who look at it at every request."""
    file = served.project.folder / "login"
    new = file.with_suffix(".new")
    new.write_text(f'user = "{served.outputs["username"]}:{served.outputs["password"]}"')
    new.rename(file)


@contextmanager
def under_load(served: Registry) -> Iterator[list[str]]:
    """Four clients that log in anew with every request; at the end, every status that is not 200."""
    folder, endpoint = served.project.folder, served.outputs["endpoint"]
    failed: list[str] = []
    over = folder / "over"
    over.unlink(missing_ok=True)
    ca = folder / "ca-of-clients.pem"
    ca.write_text(served.outputs["ca_pem"])
    arguments = [str(over), str(ca), str(folder / "login"), f"{endpoint}:{served.at}"]
    command = served.project.lab.place.command("sh", "-c", LOAD, "load", *arguments, f"https://{endpoint}/v2/")
    env = served.project.lab.place.env
    clients = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    try:
        yield failed
    finally:
        over.touch()
        answers = [status for client in clients for status in client.communicate()[0].split()]
        print(f"{len(answers)} requests")
        assert len(answers) > 20
        failed += [status for status in answers if status != "200"]


def test_a_password_is_rotated_without_a_refused_request(
    lab: Lab, builds: str, registry: Callable[..., Registry]
) -> None:
    def at(*generations: int) -> Registry:
        return registry("pulled", pull_secrets=[builds], password_generations={"centos": list(generations)}, **TRUSTED)

    def answered(login: str) -> int:
        return served.status("/v2/", user=f"{login}:{passwords[login]}")

    served = registry("pulled", pull_secrets=[builds], **TRUSTED)
    image = image_of(lab, served, "team/app:4")
    pod = lab.get("pod", "docker-registry", "pulled")["metadata"]["uid"]
    tell(served)
    with under_load(served) as failed:
        served = at(1, 2)
        passwords = served.outputs["passwords"]
        assert (served.outputs["username"], login_of(lab, builds)["username"]) == ("centos", "centos")
        begun = time.monotonic()
        eventually(120, "the new login gets in", lambda: answered("centos-2") == 200)
        print(f"the next generation is accepted {time.monotonic() - begun:.0f} s after `up`")

        users = lab.get("secret", "auth-secret", "pulled")["metadata"]["uid"]
        served = at(2, 1)
        assert served.outputs["username"] == "centos-2" == login_of(lab, builds)["username"]
        assert served.outputs["password"] == passwords["centos-2"] == login_of(lab, builds)["password"]
        assert lab.get("secret", "auth-secret", "pulled")["metadata"]["uid"] == users
        tell(served)
        assert answered("centos") == 200, "who has not been told yet"
        runs(lab, builds, NODES[1].name, image, SECRET)

        served = at(2)
        begun = time.monotonic()
        eventually(120, "the old login is refused", lambda: answered("centos") == 401)
        print(f"the last generation is refused {time.monotonic() - begun:.0f} s after `up`")
        served.project.up("--expect-no-changes")
    assert failed == []
    assert lab.get("pod", "docker-registry", "pulled")["metadata"]["uid"] == pod
    assert list(served.outputs["passwords"]) == ["centos-2"]
