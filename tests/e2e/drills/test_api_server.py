"""Disconnect the API server during `pulumi up`, run two updates at once, and undo objects by hand.

Only the real engine and its providers decide what a lost response means for the state.
"""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from dev.cluster import process
from dev.cluster.plan import LAPTOP, MASTER
from dev.cluster.process import Daemon
from tests.e2e.drills import relay, traffic
from tests.e2e.drills.traffic import FULL
from tests.e2e.lab import ADDRESS, ENGINE, Lab, Project, Registry, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.drill]

AWAY_SECONDS = 6

PORT = 7443
"""Port of the relay on the laptop."""

STEP = 1 if FULL else 14
"""Operations between two disconnections of the API server."""

RACES = 6 if FULL else 1

SETTINGS: dict[str, Any] = {
    **{"namespace": "drilled-api", "storage_path": "/var/lib/drilled-api", "port": 5073},
    **{"exposure": "external-ips", "external_ips": [ADDRESS], "workload": "deployment"},
}


class Relay:
    """The relay to the API server, with a kubeconfig that uses it."""

    def __init__(self, lab: Lab) -> None:
        home = lab.cluster.path(LAPTOP.name, "/var/lib/relay")
        home.mkdir(exist_ok=True)
        self._away = home / "away"
        self._away.unlink(missing_ok=True)
        self.kubeconfig = home / "kubeconfig"
        config = yaml.safe_load(lab.cluster.kubeconfig.read_text())
        server = {"server": f"https://127.0.0.1:{PORT}", "tls-server-name": MASTER.address}
        config["clusters"][0]["cluster"] |= server
        self.kubeconfig.write_text(yaml.safe_dump(config))

    def interrupt(self) -> None:
        """Let the API server be away for some seconds."""
        self._away.touch()
        time.sleep(AWAY_SECONDS)
        self._away.unlink()


@pytest.fixture
def api_relay(lab: Lab) -> Iterator[Relay]:
    away = "/var/lib/relay/away"
    argv = (sys.executable, relay.__file__, str(PORT), MASTER.address, "6443", away)
    daemon, plan = Daemon(LAPTOP, "relay", argv), lab.cluster.plan
    created = Relay(lab)
    process.start(plan, daemon, {"PATH": os.environ["PATH"]})
    try:
        listens = ("bash", "-c", f"> /dev/tcp/127.0.0.1/{PORT}")
        process.wait_until_ready(
            plan,
            daemon,
            lambda: lab.cluster.run(LAPTOP.name, listens, capture_output=True, check=False).returncode == 0,
        )
        yield created
    finally:
        process.stop(plan, LAPTOP, "relay")


def test_an_absent_api_server_leaves_a_state_that_up_completes(
    lab: Lab, api_relay: Relay, deploy_registry: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    registry = deploy_registry("drilled-api", **SETTINGS)
    with traffic.clients(registry) as results:
        time.sleep(2)
    operations, ways = count_operations(registry.project), Counter[str]()
    for moment in range(1, operations, STEP):
        registry.project.pulumi("destroy", "--yes", "--skip-preview")
        ways[complete(registry, up_without_api_server(lab, registry.project, api_relay, moment))] += 1
        registry.project.up("--expect-no-changes")
    registry = deploy_registry("drilled-api", **SETTINGS)
    judgement = traffic.judge(registry, results)
    counts = ", ".join(f"{count} {way}" for way, count in ways.items())
    figures(f"API server away for {AWAY_SECONDS} s at {ways.total()} of {operations} operations: {counts}; {judgement}")
    assert judgement.broken == []


def complete(registry: Registry, ended_well: bool) -> str:
    """Complete an `up` as the README says. Return how.

    An object whose creation was not answered exists, and the state does not have it. `ops recover` adds it.
    """
    if ended_well:
        return "ended well"
    if registry.project.run("up", "--yes", "--skip-preview", "--refresh", check=False).returncode == 0:
        return "completed by `up --refresh`"
    recovered = registry.ops("recover", connects=False)
    assert recovered.returncode == 0, recovered.stdout + recovered.stderr
    registry.project.up("--refresh")
    return "completed by `ops recover` and `up --refresh`"


def count_operations(project: Project) -> int:
    """Return the number of operations of the first `up`."""
    project.pulumi("destroy", "--yes", "--skip-preview")
    return count_created(project.pulumi("up", "--yes", "--skip-preview"))


def count_created(output: str) -> int:
    return sum(" created (" in line or line.rstrip().endswith(" created") for line in output.splitlines())


def up_without_api_server(lab: Lab, project: Project, api_relay: Relay, moment: int) -> bool:
    """Run an `up`, and take the API server away when it has created a number of objects. Return whether it ended well.

    Raise if it does not end within five minutes.
    """
    environment = lab.environment.with_variables({"KUBECONFIG": str(api_relay.kubeconfig)})
    log = project.folder / "up.log"
    command = environment.command(
        *(ENGINE), "--cwd", str(project.folder), "up", "--yes", "--skip-preview", "--stack", project.folder.name
    )
    with log.open("w") as output, subprocess.Popen(command, env=environment.env, stdout=output, stderr=output) as up:
        try:
            eventually(
                120,
                f"{moment} objects are created",
                lambda: up.poll() is not None or count_created(log.read_text()) >= moment,
                pause=0.02,
            )
            api_relay.interrupt()
            return up.wait(300) == 0
        finally:
            if up.poll() is None:
                up.kill()


def test_two_updates_at_once_exclude_each_other(
    deploy_registry: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    registry = deploy_registry("drilled-api", **SETTINGS)
    project = registry.project
    refused = 0
    for number in range(RACES):
        project.configure(**SETTINGS, log_level="debug" if number % 2 else "warn")
        command = project.lab.environment.command(
            *ENGINE, "--cwd", str(project.folder), "up", "--yes", "--skip-preview", "--stack", project.folder.name
        )
        env = project.lab.environment.env
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        races = [subprocess.Popen(command, env=env, **pipes) for _ in range(2)]  # type: ignore[call-overload]
        outputs = [race.communicate()[0] for race in races]
        assert 0 in [race.returncode for race in races], outputs
        refused += sum("currently locked" in output for output in outputs)
        project.up("--expect-no-changes")
    figures(f"{RACES} x two `pulumi up` at once: {refused} refused by the lock, no change left in any of them")
    assert refused


NAMESPACED = ("--namespace", "drilled-api")

UNDONE: dict[str, tuple[str, ...]] = {
    "Pods deleted": ("delete", "pods", "--all"),
    "Deployment deleted": ("delete", "deployment", "docker-registry"),
    "Service deleted": ("delete", "service", "docker-registry"),
    "configuration edited": (
        *("patch", "secret", "configuration-secret", "--patch"),
        '{"stringData": {"config.yml": "version: 0.1"}}',
    ),
    "users edited": ("patch", "secret", "auth-secret", "--patch", '{"stringData": {"registry.password": "x:y"}}'),
    "certificate deleted": ("delete", "secret", "cert-secret"),
    "limits edited": ("set", "resources", "deployment/docker-registry", "--limits=memory=64Mi"),
    "replicas edited": ("scale", "deployment/docker-registry", "--replicas=0"),
    "node label removed": ("label", "node", "k8s-master", "run-docker-registry-"),
    "namespace deleted": ("delete", "namespace", "drilled-api"),
}
"""Arguments of kubectl that undo a part of the registry by hand."""

SHORT = ("users edited", "Service deleted")
"""Objects that `make test` undoes."""


def test_objects_that_are_undone_by_hand_come_back(
    lab: Lab, deploy_registry: Callable[..., Registry], figures: Callable[[str], None]
) -> None:
    registry = deploy_registry("drilled-api", **SETTINGS)
    with traffic.clients(registry) as results:
        time.sleep(2)
    seconds = {}
    for name in UNDONE if FULL else SHORT:
        lab.kubectl(*UNDONE[name], *(() if "node" in name or name.startswith("namespace") else NAMESPACED))
        start = time.monotonic()
        outputs = registry.project.up("--refresh")
        eventually(120, f"users get in after: {name}", lambda: registry.status("/v2/") == 200)
        seconds[name] = time.monotonic() - start
        assert outputs["ca_pem"] == registry.outputs["ca_pem"]
        assert outputs["password"] == registry.outputs["password"]
        registry.project.up("--expect-no-changes")
    judgement = traffic.judge(registry, results)
    worst = max(seconds, key=lambda name: seconds[name])
    figures(
        f"{len(seconds)} parts undone by hand: each back by one `up --refresh`, in at most {seconds[worst]:.0f} s "
        f"({worst}), same CA and password; {judgement}"
    )
    assert judgement.broken == []
