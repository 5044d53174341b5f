"""The stack `dev` from start to login: finish what was interrupted, `pulumi up`, trust, verify, say what is where."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from dev.cluster import Cluster
from dev.console import Unmet, stage, step
from dev.workplace import STACK, Workplace

RECOVER = (sys.executable, "-m", "ops", "recover", "--stack", STACK, "--json")

FAREWELL = """
  {endpoint} is up{where}.
  CA        {ca}  (as `pulumi stack output ca_pem` prints it)
  shell     eval "$({python} -m dev env)"
            which has pulumi, kubectl, and a docker whose engine, on another host, trusts that CA
  log in    pulumi stack output password --show-secrets | docker login {endpoint} --username {username} --password-stdin
  push      docker tag busybox:1.35 {endpoint}/busybox && docker push {endpoint}/busybox
  pull      docker pull {endpoint}/busybox
"""


class Failed(Exception):
    """A command of the deployment failed, and has said why."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


@dataclass(frozen=True)
class Deployment:
    """The stack, where its commands run, and the embedded cluster unless the caller brought one."""

    place: Workplace
    state: Path
    cluster: Cluster | None

    def up(self) -> None:
        """Deploy, and leave a registry that the laptop's Docker engine can log in to."""
        mended = self._select()
        refresh = ["--refresh"] if self._recover() or mended else []
        with stage("pulumi up"):
            self._show("pulumi", "up", "--yes", "--skip-preview", "--stack", STACK, *refresh)
        outputs = json.loads(self._said("pulumi", "stack", "output", "--json", "--stack", STACK))
        address = self._address()
        if self.cluster:
            self._trust(self.cluster, outputs, address)
        ca = self.state / "ca.pem"
        ca.write_text(outputs["ca_pem"])
        verify = (sys.executable, "-m", "ops", "verify", "--stack", STACK, "--wait", "30")
        self._show(*verify, *(["--address", address] if address else []))
        where = f" at {address}" if address else ""
        print(FAREWELL.format(**outputs, where=where, ca=ca, python=sys.executable))

    def _select(self) -> bool:
        """Select the stack, and create it the first time. Return whether a killed `up` had to be put in order before.

        An engine that is killed while it writes may leave a file cut off, and every command fails until that is mended.
        """
        select = ("pulumi", "stack", "select", "--create", "--stack", STACK)
        with step(f"stack {STACK}"):
            if self.place.run(*select, check=False).returncode == 0:
                return False
            mended = self.place.run(*RECOVER, check=False).returncode == 0
            self._said(*select)
        return mended

    def _recover(self) -> bool:
        """Whether an earlier `up` was cut off, whose leftovers are now in order but for a refresh."""
        with step("nothing left over from an interrupted up") as current:
            done = self.place.run(*RECOVER, check=False)
            if done.returncode:
                raise Unmet(done.stderr.strip())
            refresh = bool(json.loads(done.stdout)["refresh"])
            if refresh:
                current.title = "an interrupted up is put in order"
        return refresh

    def _address(self) -> str | None:
        """Where the registry is reached from here, whose name this machine need not know."""
        config = json.loads(self._said("pulumi", "config", "--json", "--stack", STACK))
        addresses = config.get("private-registry:external_ips", {}).get("objectValue") or []
        return str(addresses[0]) if addresses else None

    def _trust(self, cluster: Cluster, outputs: dict[str, str], address: str | None) -> None:
        """What the guide does on every client, done on the laptop: the name in /etc/hosts, the CA in certs.d."""
        folder = cluster.path("laptop", f"/etc/docker/certs.d/{outputs['endpoint']}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ca.crt").write_text(outputs["ca_pem"])
        if address:
            cluster.hosts_entry("laptop", address, outputs["endpoint"].rpartition(":")[0])

    def _said(self, *argv: str) -> str:
        """What the command prints; of one that fails, a person sees what it has to say for itself."""
        done = self.place.run(*argv, check=False)
        if done.returncode:
            print(done.stderr.strip() or done.stdout.strip(), file=sys.stderr)
            raise Failed(done.returncode)
        return done.stdout

    def _show(self, *argv: str) -> None:
        code = self.place.show(*argv)
        if code:
            raise Failed(code)
