"""Pull in other namespaces with a pull Secret of the component, which changes no objects of users.

No offline test can show this, because only a kubelet and a container runtime pull images.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from dev.cluster.plan import NODES
from registry.access import ACCESS_SECRET
from registry.discovery import ALREADY_ANNOUNCED
from registry.validation.pull_secrets import refuse_other_pull_secrets
from tests.e2e.lab import ADDRESS, Lab, Registry, eventually, read_secret
from tests.e2e.messages import message

pytestmark = pytest.mark.e2e

SECRET = "pulled-pull"
"""Name of the pull Secret, which begins with the namespace of the registry."""

SETTINGS: dict[str, Any] = {
    "namespace": "pulled",
    "storage_path": "/var/lib/pulled",
    "port": 5021,
    "exposure": "external-ips",
    "external_ips": [ADDRESS],
}
TRUSTED_SETTINGS: dict[str, Any] = {**SETTINGS, "node_trust": True}

LOGIN_SCRIPT = """
for i in $(seq 100000); do
    [ -e "$1" ] && exit
    curl --silent --max-time 10 --cacert "$2" --config "$3" --connect-to "$4" \\
        --output /dev/null --write-out '%{http_code}\\n' "$5"
    sleep 0.1
done
"""
"""Script of a client that logs in with every request, and prints each status.

Its arguments are a file that stops it, the CA, the file with the login, a value of --connect-to, and the URL.
"""


@pytest.fixture
def builds(lab: Lab) -> Iterator[str]:
    """Create a user's namespace. Tests request it before the registry, so it is deleted after the registry."""
    with temporary_namespace(lab, "builds") as namespace:
        yield namespace


@pytest.fixture
def other_namespace(lab: Lab) -> Iterator[str]:
    with temporary_namespace(lab, "other") as namespace:
        yield namespace


@contextmanager
def temporary_namespace(lab: Lab, name: str) -> Iterator[str]:
    """Create a namespace, and delete it when the block ends."""
    lab.kubectl("create", "namespace", name)
    eventually(10, "the namespace has a ServiceAccount", lambda: lab.api.exists("serviceaccount", "default", name))
    yield name
    lab.kubectl("delete", "namespace", name)


@contextmanager
def resolved_but_not_trusted(lab: Lab, registry: Registry) -> Iterator[None]:
    """Make every node reach the registry by its name, but not trust its CA, until the block ends."""
    endpoint = registry.outputs["endpoint"]
    hosts = (
        f'server = "https://{endpoint}"\n[host."https://{registry.address}"]\n  capabilities = ["pull", "resolve"]\n'
    )
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
def deployment_on_node(lab: Lab, namespace: str, node: str, image: str, secret: str | None) -> Iterator[None]:
    """Run a Deployment on the node until the block ends. It pulls its image at each start."""
    labels = {"app": "puller"}
    container = {"name": "puller", "image": image, "imagePullPolicy": "Always", "command": ["sleep", "600"]}
    pod: dict[str, Any] = {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]}
    if secret:
        pod["imagePullSecrets"] = [{"name": secret}]
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "puller", "namespace": namespace},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }
    lab.environment.run("kubectl", "create", "--filename", "-", stdin=json.dumps(deployment))
    try:
        yield
    finally:
        lab.kubectl("delete", "deployment", "puller", "--namespace", namespace, "--cascade=foreground")
        lab.kubectl("delete", "events", "--all", "--namespace", namespace)


def expect_pull(lab: Lab, namespace: str, node: str, image: str, secret: str | None) -> None:
    """Check that a Pod on the node pulls the image, with the pull Secret or without one."""
    with deployment_on_node(lab, namespace, node, image, secret):
        lab.kubectl("rollout", "status", "deployment/puller", "--namespace", namespace, "--timeout=60s")


def expect_failed_pull(lab: Lab, namespace: str, node: str, image: str, secret: str | None) -> str:
    """Check that a Pod on the node cannot pull the image. Return the event's message."""
    messages: list[str] = []

    def has_failed() -> bool:
        events = lab.api.objects("events", namespace, fields="reason=Failed")
        messages[:] = [each["message"] for each in events if "pull image" in each["message"]]
        pods = lab.api.objects("pods", namespace)
        containers = [each for pod in pods for each in pod["status"].get("containerStatuses", ())]
        reasons = [each["state"].get("waiting", {}).get("reason") for each in containers]
        return bool(messages) and reasons in (["ErrImagePull"], ["ImagePullBackOff"])

    with deployment_on_node(lab, namespace, node, image, secret):
        eventually(60, "the pull fails", has_failed)
    return messages[0]


def push_image(lab: Lab, registry: Registry, tag: str) -> str:
    """Push the test image as `tag` from the laptop, and return its reference."""
    endpoint = registry.outputs["endpoint"]
    trust = lab.cluster.path("laptop", f"/etc/docker/certs.d/{endpoint}")
    trust.mkdir(parents=True, exist_ok=True)
    (trust / "ca.crt").write_text(registry.outputs["ca_pem"])
    login = ("login", endpoint, "--username", registry.outputs["username"], "--password-stdin")
    for arguments, stdin in (
        (login, registry.outputs["password"]),
        (("tag", "busybox:1.35", f"{endpoint}/{tag}"), None),
        (("push", f"{endpoint}/{tag}"), None),
    ):
        done = lab.docker(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
    return f"{endpoint}/{tag}"


def secret_uid(lab: Lab, namespace: str) -> str:
    return str(lab.get("secret", SECRET, namespace)["metadata"]["uid"])


def read_login(lab: Lab, namespace: str) -> Mapping[str, str]:
    """Return the username and the password in the pull Secret of the namespace."""
    (login,) = json.loads(read_secret(lab, namespace, SECRET)[".dockerconfigjson"])["auths"].values()
    return dict(login)


def test_pods_pull_on_every_node_only_with_the_secret(
    lab: Lab, builds: str, deploy_registry: Callable[..., Registry]
) -> None:
    registry = deploy_registry("pulled", pull_secrets=[builds], **SETTINGS)
    image = push_image(lab, registry, "team/app:1")
    with resolved_but_not_trusted(lab, registry):
        for node in NODES:
            assert "x509: certificate signed by unknown authority" in expect_failed_pull(
                lab, builds, node.name, image, SECRET
            )
    registry = deploy_registry("pulled", pull_secrets=[builds], **TRUSTED_SETTINGS)
    eventually(
        120,
        "the proxy serves the certificate for the Service's address",
        lambda: "x509" not in expect_failed_pull(lab, builds, NODES[0].name, image, None),
    )
    for node in NODES:
        error = expect_failed_pull(lab, builds, node.name, image, None)
        assert "401" in error or "authorization failed" in error, error
        expect_pull(lab, builds, node.name, image, SECRET)
    state = registry.project.pulumi("stack", "export")
    assert registry.outputs["password"] not in state
    assert lab.get("secret", SECRET, builds)["data"][".dockerconfigjson"] not in state
    registry.project.up("--expect-no-changes", "--refresh")
    deploy_registry("pulled", **SETTINGS)
    for node in NODES:
        assert not lab.cluster.path(node.name, f"/etc/containerd/certs.d/{registry.outputs['endpoint']}").exists()
    assert SECRET not in lab.kubectl("get", "secrets", "--namespace", builds, "--output", "name")


def test_a_changed_password_updates_the_secret_in_place_in_the_same_up(
    lab: Lab, builds: str, deploy_registry: Callable[..., Registry]
) -> None:
    first = deploy_registry("pulled", pull_secrets=[builds], **TRUSTED_SETTINGS)
    image = push_image(lab, first, "team/app:2")
    uid = secret_uid(lab, builds)
    rotated: dict[str, Any] = {"pull_secrets": [builds], "password_generations": {"pull": [2]}}
    second = deploy_registry("pulled", **rotated, **TRUSTED_SETTINGS)
    password = second.outputs["passwords"]["pull-2"]
    assert read_login(lab, builds)["password"] == password
    assert password != first.outputs["passwords"]["pull"]
    assert secret_uid(lab, builds) == uid, "the Secret was not replaced"
    login = f"pull-2:{password}"
    eventually(120, "the registry accepts the new password", lambda: second.status("/v2/", user=login) == 200)
    for node in NODES:
        expect_pull(lab, builds, node.name, image, SECRET)
    assert second.status("/v2/team/app/blobs/uploads/", "--request", "POST", user=login) == 403, "it may only pull"
    third = deploy_registry("pulled", labels={"example.com/team": "red"}, **rotated, **TRUSTED_SETTINGS)
    assert lab.get("secret", SECRET, builds)["metadata"]["labels"]["example.com/team"] == "red"
    assert read_login(lab, builds)["password"] == password, "a change of labels keeps the password"
    third.project.up("--expect-no-changes", "--refresh")
    assert secret_uid(lab, builds) == uid
    lab.kubectl("delete", "secret", SECRET, "--namespace", builds)
    third.project.up("--refresh")
    assert read_login(lab, builds)["password"] == password, "the restored Secret has the new password"


def used_pull_secrets(lab: Lab, namespace: str) -> list[str]:
    """Return the pull Secrets of the default ServiceAccount."""
    return [each["name"] for each in lab.get("serviceaccount", "default", namespace).get("imagePullSecrets", [])]


def test_the_default_service_account_pulls_and_keeps_other_pull_secrets(
    lab: Lab, builds: str, other_namespace: str, deploy_registry: Callable[..., Registry]
) -> None:
    default_settings = {**TRUSTED_SETTINGS, "default_pull_secret": True}
    patch = ("patch", "serviceaccount", "default", "--patch")
    before = lab.get("serviceaccount", "default", builds)
    registry = deploy_registry("pulled", pull_secrets=[builds], **default_settings)
    image = push_image(lab, registry, "team/app:3")
    expect_pull(lab, builds, NODES[1].name, image, None)
    assert used_pull_secrets(lab, builds) == [SECRET]
    registry.project.up("--expect-no-changes", "--refresh")

    lab.kubectl(*patch, '{"imagePullSecrets": [{"name": "mine"}]}', "--namespace", other_namespace)
    registry.project.configure(pull_secrets=[builds, other_namespace], **default_settings)
    assert message(refuse_other_pull_secrets, other_namespace, SECRET, ["mine"]) in registry.project.expect_refusal()
    assert used_pull_secrets(lab, other_namespace) == ["mine"]

    add = '[{"op": "add", "path": "/imagePullSecrets/-", "value": {"name": "added"}}]'
    lab.kubectl(*patch, add, "--type=json", "--namespace", builds)
    assert used_pull_secrets(lab, builds) == [SECRET, "added"]
    registry.project.configure(pull_secrets=[builds], **default_settings)
    for command in ("preview", "up"):
        assert message(refuse_other_pull_secrets, builds, SECRET, [SECRET, "added"]) in registry.project.expect_refusal(
            command
        )
    assert used_pull_secrets(lab, builds) == [SECRET, "added"]
    deploy_registry("pulled", pull_secrets=[builds], **TRUSTED_SETTINGS)
    assert used_pull_secrets(lab, builds) == [SECRET, "added"], "the component keeps a list that the user changed"

    lab.kubectl(*patch, '{"imagePullSecrets": null}', "--namespace", builds)
    registry = deploy_registry("pulled", pull_secrets=[builds], **default_settings)
    assert used_pull_secrets(lab, builds) == [SECRET]
    registry.project.pulumi("destroy", "--yes", "--skip-preview")
    after = lab.get("serviceaccount", "default", builds)
    assert without_versions(after) == without_versions(before)
    assert lab.kubectl("get", "secrets", "--namespace", builds, "--output", "name") == ""


def without_versions(account: dict[str, Any]) -> dict[str, Any]:
    """Return the ServiceAccount without its version, which every change increases."""
    metadata = {key: value for key, value in account["metadata"].items() if key != "resourceVersion"}
    return {**account, "metadata": metadata}


def test_a_missing_namespace_is_refused_at_preview(
    deploy_registry: Callable[..., Registry],
) -> None:
    registry = deploy_registry("pulled", **SETTINGS)
    registry.project.configure(pull_secrets=["nowhere"], **SETTINGS)
    output = registry.project.expect_refusal()
    assert "`pull_secrets` names the namespace 'nowhere', which does not exist." in output


def test_a_cluster_announces_one_registry_and_a_second_one_is_refused(
    lab: Lab, deploy_registry: Callable[..., Registry]
) -> None:
    deploy_registry("pulled", discovery=True, **SETTINGS)
    hosting = ("local-registry-hosting", "kube-public")
    config_map = lab.get("configmap", *hosting)
    assert json.loads(config_map["data"]["localRegistryHosting.v1"]) == {
        "host": "docker-registry:5021",
        "hostFromContainerRuntime": "docker-registry:5021",
        "hostFromClusterNetwork": "docker-registry.pulled.svc:5021",
    }
    second: dict[str, Any] = {"namespace": "rival", "storage_path": "/var/lib/rival"}
    rival = deploy_registry("rival", **second)
    rival.project.configure(discovery=True, **second)
    output = rival.project.expect_refusal("up")
    assert ALREADY_ANNOUNCED in output
    assert 'configmaps "local-registry-hosting" already exists' in output
    rival.project.pulumi("destroy", "--yes", "--skip-preview")
    assert lab.get("configmap", *hosting) == config_map


def write_login(registry: Registry) -> None:
    """Write the login of the outputs to the file that clients read before every request."""
    file = registry.project.folder / "login"
    new_file = file.with_suffix(".new")
    new_file.write_text(f'user = "{registry.outputs["username"]}:{registry.outputs["password"]}"')
    new_file.rename(file)


@contextmanager
def logging_in(registry: Registry) -> Iterator[list[str]]:
    """Run four clients that log in with every request, until the block ends.

    Yield a list, which contains all statuses except 200 after the block.
    """
    folder, endpoint = registry.project.folder, registry.outputs["endpoint"]
    failures: list[str] = []
    stop_file = folder / "stop"
    stop_file.unlink(missing_ok=True)
    ca = folder / "ca-of-clients.pem"
    ca.write_text(registry.outputs["ca_pem"])
    arguments = [str(stop_file), str(ca), str(folder / "login"), f"{endpoint}:{registry.address}"]
    command = registry.project.lab.environment.command(
        "sh", "-c", LOGIN_SCRIPT, "login", *arguments, f"https://{endpoint}/v2/"
    )
    env = registry.project.lab.environment.env
    clients = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    try:
        yield failures
    finally:
        stop_file.touch()
        statuses = [status for client in clients for status in client.communicate()[0].split()]
        print(f"{len(statuses)} requests")
        assert len(statuses) > 20, "the clients ran"
        failures += [status for status in statuses if status != "200"]


def test_no_request_is_refused_during_a_password_rotation(
    lab: Lab, builds: str, deploy_registry: Callable[..., Registry]
) -> None:
    def deploy_generations(*generations: int) -> Registry:
        by_user = {"centos": list(generations), "pull": list(generations)}
        return deploy_registry("pulled", pull_secrets=[builds], password_generations=by_user, **TRUSTED_SETTINGS)

    def login_status(login: str) -> int:
        return registry.status("/v2/", user=f"{login}:{passwords[login]}")

    registry = deploy_registry("pulled", pull_secrets=[builds], **TRUSTED_SETTINGS)
    image = push_image(lab, registry, "team/app:4")
    pod = lab.get("pod", "docker-registry", "pulled")["metadata"]["uid"]
    write_login(registry)
    with logging_in(registry) as failures:
        registry = deploy_generations(1, 2)
        passwords = registry.outputs["passwords"]
        assert (registry.outputs["username"], read_login(lab, builds)["username"]) == ("centos", "pull")
        start = time.monotonic()
        eventually(120, "the new login is accepted", lambda: login_status("centos-2") == 200)
        print(f"the next generation is accepted {time.monotonic() - start:.0f} s after `up`")

        access_uid = lab.get("secret", ACCESS_SECRET, "pulled")["metadata"]["uid"]
        registry = deploy_generations(2, 1)
        assert (registry.outputs["username"], read_login(lab, builds)["username"]) == ("centos-2", "pull-2")
        assert registry.outputs["password"] == passwords["centos-2"]
        assert read_login(lab, builds)["password"] == passwords["pull-2"]
        assert lab.get("secret", ACCESS_SECRET, "pulled")["metadata"]["uid"] == access_uid, (
            "the Secret was not replaced"
        )
        write_login(registry)
        assert login_status("centos") == 200, "clients may still use the old login"
        expect_pull(lab, builds, NODES[1].name, image, SECRET)

        registry = deploy_generations(2)
        start = time.monotonic()
        eventually(120, "the old login is refused", lambda: login_status("centos") == 401)
        print(f"the last generation is refused {time.monotonic() - start:.0f} s after `up`")
        registry.project.up("--expect-no-changes")
    assert failures == []
    assert lab.get("pod", "docker-registry", "pulled")["metadata"]["uid"] == pod
    assert list(registry.outputs["passwords"]) == ["centos-2", "pull-2"]
