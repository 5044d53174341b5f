"""Deploy a registry behind the proxy that checks access, and change its rules while clients send requests.

No offline test can show this: only a kubelet updates the files of a running proxy, and only real clients print the
messages of its refusals.
"""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dev.environment import PROJECT
from registry.access import ACCESS_SECRET
from tests.e2e.lab import ADDRESS, Lab, Registry, eventually, read_secret
from tests.e2e.load import all_failures, under_load
from tests.e2e.test_pull_secrets import temporary_namespace
from tests.e2e.test_rotation import CLIENTS, certificate, format_results

pytestmark = pytest.mark.e2e

SETTINGS: dict[str, Any] = {
    "namespace": "guarded",
    "storage": "local",
    "storage_path": "/var/lib/guarded",
    "port": 5051,
    "exposure": "external-ips",
    "external_ips": [ADDRESS],
}

RULES: dict[str, Any] = {
    "users": ["centos", "jean"],
    "access": [
        {"users": ["centos"], "repositories": ["**"], "rights": ["push"]},
        {"users": ["jean"], "repositories": ["team/*"], "rights": ["push"]},
    ],
    "anonymous_pull": ["public/**"],
    "robots": {"ci": {"repositories": ["team/web"], "rights": ["push"]}},
}

MOST_SECONDS_UNTIL_IN_FORCE = 90
"""Seconds from the end of `up` until a change is in force, at most: the kubelet's sync period and its cache."""


@pytest.fixture
def image_folder(lab: Lab) -> None:
    """Create the folder of the images, as an administrator does for a local volume."""
    lab.cluster.path("k8s-master", "/var/lib/guarded").mkdir(parents=True, exist_ok=True)


class Client(NamedTuple):
    """A Docker client on the laptop, with its own folder for logins."""

    lab: Lab
    registry: Registry
    folder: Path

    def run(self, *arguments: str, stdin: str | None = None) -> tuple[bool, str]:
        """Run docker. Return whether it succeeded, and its output."""
        done = self.lab.docker("--config", str(self.folder), *arguments, stdin=stdin)
        return done.returncode == 0, done.stdout + done.stderr

    def log_in(self, user: str) -> None:
        endpoint, password = self.registry.outputs["endpoint"], self.registry.outputs["passwords"][user]
        succeeded, output = self.run("login", endpoint, "--username", user, "--password-stdin", stdin=password)
        assert succeeded, output

    def log_out(self) -> None:
        self.run("logout", self.registry.outputs["endpoint"])

    def push(self, repository: str) -> tuple[bool, str]:
        image = f"{self.registry.outputs['endpoint']}/{repository}:1"
        self.run("tag", "busybox:1.35", image)
        return self.run("push", image)

    def pull(self, repository: str) -> tuple[bool, str]:
        image = f"{self.registry.outputs['endpoint']}/{repository}:1"
        self.run("image", "rm", image)
        return self.run("pull", image)


@pytest.fixture
def client_of(lab: Lab, tmp_path: Path) -> Callable[[Registry], Client]:
    """Return a function that creates a client that trusts a registry."""

    def create(registry: Registry) -> Client:
        trust = lab.cluster.path("laptop", f"/etc/docker/certs.d/{registry.outputs['endpoint']}")
        trust.mkdir(parents=True, exist_ok=True)
        (trust / "ca.crt").write_text(registry.outputs["ca_pem"])
        (tmp_path / "docker").mkdir(exist_ok=True)
        return Client(lab, registry, tmp_path / "docker")

    return create


def expect_refusal(result: tuple[bool, str], *causes: str) -> None:
    """Check that a command of Docker has failed, and has printed one of the causes."""
    succeeded, output = result
    assert not succeeded, output
    assert any(cause in output for cause in causes), output


@pytest.mark.usefixtures("image_folder")
def test_docker_pulls_public_images_without_a_login_and_prints_the_cause_of_a_refusal(
    lab: Lab, deploy_registry: Callable[..., Registry], client_of: Callable[[Registry], Client]
) -> None:
    registry = deploy_registry("guarded", {"passwords.jean": "correct horse battery"}, **RULES, **SETTINGS)
    client = client_of(registry)
    client.log_in("centos")
    for repository in ("public/base", "team/web", "private/app"):
        assert client.push(repository)[0]
    client.log_out()
    assert client.pull("public/base")[0], "it needs no login"
    expect_refusal(client.pull("team/web"), "authentication required", "Log in first")
    expect_refusal(client.push("public/base"), "authentication required", "Log in first")
    for user in ("jean", "ci"):
        client.log_in(user)
        assert client.push("team/web")[0]
        assert client.pull("public/base")[0]
        for attempt in (client.pull, client.push):
            expect_refusal(attempt("private/app"), "denied")
        client.log_out()
    level = lab.get("namespace", "guarded")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert level == "restricted", "the proxy runs without capabilities"
    verified = registry.ops("verify", "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert json.loads(verified.stdout)["passed"]


@pytest.mark.usefixtures("image_folder")
def test_certificate_users_and_rules_change_while_clients_work(
    lab: Lab, deploy_registry: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    registry = deploy_registry("guarded", **RULES, **SETTINGS)
    digest = registry.push("kept/layer")
    serial = certificate(lab, "guarded").serial_number
    pod = lab.get("pod", "docker-registry", "guarded")["metadata"]["uid"]
    changes = {
        "users": ["centos", "jean", "marie"],
        "access": [*RULES["access"], {"users": ["marie"], "repositories": ["kept/*"], "rights": ["pull"]}],
        "certificate_days": 300,
    }
    with under_load(registry, f"/v2/kept/layer/blobs/{digest}", CLIENTS) as results:
        after = deploy_registry("guarded", **RULES | changes, **SETTINGS)
        start = time.monotonic()
        marie = f"marie:{after.outputs['passwords']['marie']}"
        path = f"/v2/kept/layer/blobs/{digest}"
        eventually(MOST_SECONDS_UNTIL_IN_FORCE, "the rule is in force", lambda: after.status(path, user=marie) == 200)
        seconds = time.monotonic() - start
        time.sleep(2)  # clients receive the new certificate
    figures(f"in force {seconds:.0f} s after the end of `up`: {format_results(results)}")
    assert all_failures(results) == []
    certificates = set(results["reconnecting"]["certificates"])
    assert len(certificates) == 2, "clients received the old certificate and the new one"
    assert after.status("/v2/team/web/tags/list", user=marie) == 403
    assert lab.get("pod", "docker-registry", "guarded")["metadata"]["uid"] == pod
    assert certificate(lab, "guarded").serial_number != serial
    after.project.up("--expect-no-changes")


@pytest.mark.usefixtures("image_folder")
def test_added_and_removed_rules_change_no_images_passwords_or_ca(
    lab: Lab, deploy_registry: Callable[..., Registry]
) -> None:
    before = deploy_registry("guarded", users=["centos", "jean"], **SETTINGS)
    digest = before.push("team/layer")
    login = f"jean:{before.outputs['passwords']['jean']}"
    guarded = deploy_registry("guarded", **RULES, **SETTINGS)
    assert guarded.status(f"/v2/team/layer/blobs/{digest}", user=login) == 200
    assert guarded.status("/v2/other/app/tags/list", user=login) == 403
    assert ACCESS_SECRET in lab.api.names("Secret", "guarded")
    after = deploy_registry("guarded", users=["centos", "jean"], **SETTINGS)
    assert after.status(f"/v2/team/layer/blobs/{digest}", user=login) == 200
    assert after.status("/v2/other/app/tags/list", user=login) == 404, "every user may read everything again"
    assert ACCESS_SECRET not in lab.api.names("Secret", "guarded")
    for outputs in (guarded.outputs, after.outputs):
        assert outputs["ca_pem"] == before.outputs["ca_pem"]
        assert before.outputs["passwords"].items() <= outputs["passwords"].items()
    assert read_secret(lab, "guarded", "auth-secret")


@pytest.mark.usefixtures("image_folder")
def test_the_commands_of_the_page_lead_to_accepted_inputs(lab: Lab, deploy_registry: Callable[..., Registry]) -> None:
    """Only the real engine decides how lists and maps on a command line become config."""
    page = (PROJECT / "docs/access.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^pulumi config (?:.*\\\n)*.*$", "".join(blocks), re.MULTILINE)
    assert len(commands) >= 7
    registry = deploy_registry("guarded", **SETTINGS)
    script = " && ".join(["cd $0", *commands])  # $0 is the first argument after the script
    with temporary_namespace(lab, "builds"):
        variables = {"PULUMI_STACK": registry.project.folder.name}
        shell = lab.environment.with_variables(variables)
        typed = shell.run("sh", "-c", script, str(registry.project.folder), check=False)
        assert typed.returncode == 0, typed.stderr
        outputs = registry.project.up()
        assert {*outputs["passwords"]} == {"jean", "marie", "guest", "web", "pull"}
        registry.project.pulumi("destroy", "--yes", "--skip-preview")
