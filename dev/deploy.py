"""The deployment of the stack `dev`: recover, `pulumi up`, trust the CA, verify, print the next steps."""

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from dev.cluster import Cluster
from dev.cluster.plan import DOCKER_CERTIFICATES
from dev.console import stage, step
from dev.environment import STACK, Environment
from dev.errors import DeploymentError, RequirementError

RECOVER = (sys.executable, "-m", "ops", "recover", "--stack", STACK, "--json")

PROXY_INPUTS = ("access", "anonymous_pull", "robots", "pull_secrets", "min_free")
"""Inputs that add a proxy in front of the registry. Its image is loaded into the nodes only if one of them is set."""

JOB_INPUTS = ("collect", "scrub", "backup", "alerts", "dashboard")
"""Inputs that add maintenance jobs, or an exporter with their program. Their image is loaded only if one is set."""

NEXT_STEPS = """
  {endpoint} is up{location}.
  CA        {ca}  (the output of `pulumi stack output ca_pem`)
  shell     {shell}
            {provides}
  log in    pulumi stack output password --show-secrets | docker login {endpoint} --username {username} --password-stdin
  push      docker tag busybox:1.35 {endpoint}/busybox && docker push {endpoint}/busybox
  pull      docker pull {endpoint}/busybox
"""


EMBEDDED_CLIENTS = "provides pulumi, kubectl, and docker with an engine on another host that trusts the CA"
"""Effect of `dev env` for the embedded cluster."""

OWN_CLIENTS = f"provides pulumi. Set up docker with `{{python}} -m ops trust --stack {STACK}`"
"""Effect of `dev env` for the cluster of KUBECONFIG, and the command that makes docker trust the CA."""


@dataclass(frozen=True)
class Deployment:
    """The stack `dev` and the environment of its commands.

    `state` is the folder .dev/NAME, which gets the file `ca.pem`. `cluster` is None if the stack is on the cluster of
    KUBECONFIG.
    """

    environment: Environment
    state: Path
    cluster: Cluster | None

    def up(self) -> None:
        """Deploy the registry and verify it. The Docker engine of an embedded cluster's laptop trusts its CA."""
        repaired = self._select_stack()
        refresh = ["--refresh"] if self._recover() or repaired else []
        config = json.loads(self._run("pulumi", "config", "--json", "--stack", STACK))
        if self.cluster and any(f"private-registry:{key}" in config for key in PROXY_INPUTS):
            self.cluster.load_haproxy()
        if self.cluster and any(f"private-registry:{key}" in config for key in JOB_INPUTS):
            self.cluster.load_python()
        if self.cluster and "private-registry:backup" in config:
            self.cluster.load_regsync()
        with stage("pulumi up"):
            self._run_in_foreground("pulumi", "up", "--yes", "--skip-preview", "--stack", STACK, *refresh)
        outputs = json.loads(self._run("pulumi", "stack", "output", "--json", "--stack", STACK))
        # An address for `ops verify`, because this machine may not resolve the registry's name.
        addresses = config.get("private-registry:external_ips", {}).get("objectValue") or []
        address = str(addresses[0]) if addresses else None
        if self.cluster:
            self._trust_on_laptop(self.cluster, outputs, address)
        ca = self.state / "ca.pem"
        ca.write_text(outputs["ca_pem"])
        verify = (sys.executable, "-m", "ops", "verify", "--stack", STACK, "--wait", "30")
        self._run_in_foreground(*verify, *(["--address", address] if address else []))
        location = f" at {address}" if address else ""
        print(NEXT_STEPS.format(**outputs, **self._shell(), location=location, ca=ca))

    def _shell(self) -> dict[str, str]:
        """Return the command that sets up a shell, and what it provides."""
        name = self.state.name
        option = "" if name == STACK else f" --cluster {name}"
        provides = EMBEDDED_CLIENTS if self.cluster else OWN_CLIENTS
        shell = f'eval "$({sys.executable} -m dev env{option})"'
        return {"shell": shell, "provides": provides.format(python=sys.executable)}

    def _select_stack(self) -> bool:
        """Select the stack, and create it the first time. Return whether its state file had to be repaired.

        An engine that is killed while it writes may leave a truncated file. Every command then fails.
        """
        select = ("pulumi", "stack", "select", "--create", "--stack", STACK)
        with step(f"stack {STACK} selected"):
            if self.environment.run(*select, check=False).returncode == 0:
                return False
            repaired = self.environment.run(*RECOVER, check=False).returncode == 0
            self._run(*select)
        return repaired

    def _recover(self) -> bool:
        """Clean up after an interrupted `up`. Return whether the next one has to refresh the state."""
        with step("checked for an interrupted up") as current_step:
            result = self.environment.run(*RECOVER, check=False)
            if result.returncode:
                raise RequirementError(
                    f"The command `python -m ops recover` failed for the stack {STACK}.",
                    "Follow the advice above, then run the same command again.",
                    details=result.stderr.strip(),
                )
            refresh = bool(json.loads(result.stdout)["refresh"])
            if refresh:
                current_step.title = "cleaned up after an interrupted up"
        return refresh

    def _trust_on_laptop(self, cluster: Cluster, outputs: dict[str, str], address: str | None) -> None:
        """Write the registry's name to the laptop's /etc/hosts, and its CA to Docker's certs.d."""
        folder = cluster.path("laptop", f"{DOCKER_CERTIFICATES}/{outputs['endpoint']}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ca.crt").write_text(outputs["ca_pem"])
        if address:
            cluster.set_hosts_entry("laptop", address, outputs["endpoint"].rpartition(":")[0])

    def _run(self, *argv: str) -> str:
        """Return the output of a command that must succeed."""
        result = self.environment.run(*argv, check=False)
        if result.returncode:
            raise DeploymentError(
                f"The command `{shlex.join(argv)}` failed with exit code {result.returncode}.",
                "Fix the cause and run the same command again.",
                result.returncode,
                details=result.stderr.strip() or result.stdout.strip(),
            )
        return result.stdout

    def _run_in_foreground(self, *argv: str) -> None:
        """Run a command that prints its own errors and must succeed."""
        code = self.environment.run_in_foreground(*argv)
        if code:
            raise DeploymentError(
                f"The command `{shlex.join(argv)}` failed with exit code {code}.",
                "Fix the cause, which the command printed above, and run the same command again.",
                code,
            )
