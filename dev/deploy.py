"""The deployment: propose a config, recover, `pulumi up`, trust the CA, verify, print the next steps."""

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from dev.cluster import Cluster
from dev.cluster.plan import DOCKER_CERTIFICATES
from dev.console import stage, step
from dev.environment import OWN_STACK, STACK, Environment
from dev.errors import DeploymentError, RequirementError

OPS = (sys.executable, "-m", "ops")
"""Beginning of the commands of `ops`."""

PROXY_INPUTS = (
    *("access", "anonymous_pull", "robots", "pull_secrets", "min_free"),
    *("tls_secret", "certificate_issuer"),
)
"""Inputs that add a proxy in front of the registry. Its image is loaded into the nodes only if one of them is set."""

JOB_INPUTS = ("collect", "scrub", "backup", "alerts", "dashboard")
"""Inputs that add maintenance jobs, or an exporter with their program. Their image is loaded only if one is set."""

NEXT_STEPS = """
  {endpoint} is up{location}.
  CA        {ca}  (the output of `pulumi stack output ca_pem`)
  shell     {shell}
            provides pulumi, kubectl, and docker with an engine on another host that trusts the CA
  log in    pulumi stack output password --show-secrets | docker login {endpoint} --username {username} --password-stdin
  push      docker tag busybox:1.35 {endpoint}/busybox && docker push {endpoint}/busybox
  pull      docker pull {endpoint}/busybox
"""
"""Text after the deployment to the embedded cluster."""

OWN_NEXT_STEPS = """
  {endpoint} is up{location}, with the values in Pulumi.{stack}.yaml.
  shell     {shell}
            provides pulumi, with the stack {stack}
  trust     {python} -m ops trust --stack {stack}{option}
  log in    {python} -m ops login --stack {stack}
  push      docker tag busybox:1.35 {endpoint}/busybox && docker push {endpoint}/busybox
  remove    pulumi destroy, which keeps the images
"""
"""Text after the deployment to the cluster of KUBECONFIG, whose clients do not trust the CA yet."""


@dataclass(frozen=True)
class Deployment:
    """A stack and the environment of its commands.

    `state` is the folder .dev/NAME, which gets the file `ca.pem`. `cluster` is None if the stack is on the cluster of
    KUBECONFIG.
    """

    environment: Environment
    state: Path
    cluster: Cluster | None

    @property
    def stack(self) -> str:
        return STACK if self.cluster else OWN_STACK

    def up(self) -> None:
        """Deploy the registry and verify it. The Docker engine of an embedded cluster's laptop trusts its CA."""
        repaired = self._select_stack()
        node_address = "" if self.cluster else self._propose()
        refresh = ["--refresh"] if self._recover() or repaired else []
        if self.cluster:
            self._load_images(self.cluster)
        # The cluster of KUBECONFIG belongs to the user. With a preview, a refused value leaves nothing there.
        preview = ["--skip-preview"] if self.cluster else []
        with stage("pulumi up"):
            self._run_in_foreground("pulumi", "up", "--yes", *preview, "--stack", self.stack, *refresh)
        outputs = json.loads(self._run("pulumi", "stack", "output", "--json", "--stack", self.stack))
        # An address for `ops verify`, because this machine may not resolve the registry's name.
        address = next(iter(outputs.get("addresses") or []), node_address)
        if self.cluster:
            self._trust_on_laptop(self.cluster, outputs, address)
        ca = self.state / "ca.pem"
        ca.write_text(outputs["ca_pem"])
        option = ["--address", address] if address else []
        self._run_in_foreground(*OPS, "verify", "--stack", self.stack, "--wait", "30", *option)
        text = NEXT_STEPS if self.cluster else OWN_NEXT_STEPS
        location = f" at {address}" if address else ""
        option_text = f" --address {address}" if address else ""
        print(
            text.format(
                **outputs,
                **{"location": location, "option": option_text, "ca": ca, "shell": self._shell()},
                **{"stack": self.stack, "python": sys.executable},
            )
        )

    def _propose(self) -> str:
        """Set the values that suit the cluster of KUBECONFIG, except those that the stack has.

        Return the address for clients if the stack will not know it, as with a node port, else "".
        """
        with step("a config for this cluster, by `ops propose`") as current_step:
            result = self.environment.run(*OPS, "propose", "--write", self.stack, "--json", check=False)
            if result.returncode:
                raise RequirementError(
                    "The command `python -m ops propose` found no config for the cluster of KUBECONFIG.",
                    "Follow the advice above. Nothing was created on the cluster.",
                    details=result.stderr.strip(),
                )
            proposal = json.loads(result.stdout)
            for choice in proposal["choices"]:
                if choice["key"].partition("[")[0] in proposal["written"]["keys"]:
                    current_step.note(f"{choice['key']}: {choice['value']}. {choice['reason']}")
            for key, value in proposal["written"]["kept"].items():
                current_step.note(f"{key}: {value}, which the stack has already.")
        chosen = next((choice["value"] for choice in proposal["choices"] if choice["key"] == "exposure"), "")
        is_used = proposal["written"]["kept"].get("exposure", chosen) == chosen
        return str(proposal["address"]) if is_used else ""

    def _load_images(self, cluster: Cluster) -> None:
        """Load the images that the config needs besides that of the registry."""
        config = json.loads(self._run("pulumi", "config", "--json", "--stack", self.stack))
        if any(f"private-registry:{key}" in config for key in PROXY_INPUTS):
            cluster.load_haproxy()
        if any(f"private-registry:{key}" in config for key in JOB_INPUTS):
            cluster.load_python()
        if "private-registry:backup" in config:
            cluster.load_regsync()

    def _shell(self) -> str:
        """Return the command that sets up a shell."""
        name = self.state.name
        option = "" if name == STACK else f" --cluster {name}"
        return f'eval "$({sys.executable} -m dev env{option})"'

    def _select_stack(self) -> bool:
        """Select the stack, and create it the first time. Return whether its state file had to be repaired.

        An engine that is killed while it writes may leave a truncated file. Every command then fails.
        """
        select = ("pulumi", "stack", "select", "--create", "--stack", self.stack)
        with step(f"stack {self.stack} selected"):
            if self.environment.run(*select, check=False).returncode == 0:
                return False
            repaired = self.environment.run(*self._recovery, check=False).returncode == 0
            self._run(*select)
        return repaired

    @property
    def _recovery(self) -> tuple[str, ...]:
        return *OPS, "recover", "--stack", self.stack, "--json"

    def _recover(self) -> bool:
        """Clean up after an interrupted `up`. Return whether the next one has to refresh the state."""
        with step("checked for an interrupted up") as current_step:
            result = self.environment.run(*self._recovery, check=False)
            if result.returncode:
                raise RequirementError(
                    f"The command `python -m ops recover` failed for the stack {self.stack}.",
                    "Follow the advice above, then run the same command again.",
                    details=result.stderr.strip(),
                )
            refresh = bool(json.loads(result.stdout)["refresh"])
            if refresh:
                current_step.title = "cleaned up after an interrupted up"
        return refresh

    def _trust_on_laptop(self, cluster: Cluster, outputs: dict[str, str], address: str) -> None:
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
