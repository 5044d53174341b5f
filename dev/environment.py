"""The environment of `pulumi`, `kubectl` and `docker`: their variables, and the host that they run on.

For an isolated cluster they run on its laptop. For any other cluster they run on this machine.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dev.cluster import Cluster
from dev.toolchain.engine import Engine

PROJECT = Path(__file__).resolve().parent.parent
STATE = PROJECT / ".dev"

STACK = "dev"
"""Stack of the embedded cluster. Its file has the guide's values."""

OWN_STACK = "own"
"""Stack of the cluster of KUBECONFIG. Its file has the values that `ops propose` chose for that cluster."""

PASSPHRASE = "embedded"
"""Passphrase of the stack. The file backend requires one. It is public, so it protects no secret."""


@dataclass(frozen=True)
class Environment:
    """Variables of the commands, and the command that starts them on another host, if any."""

    variables: Mapping[str, str]
    command_prefix: tuple[str, ...] = ()

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, **self.variables}

    def command(self, *argv: str) -> list[str]:
        return [*self.command_prefix, *argv]

    def run(self, *argv: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command and capture its output. Raise `CalledProcessError` if it fails, unless `check` is False."""
        return subprocess.run(
            self.command(*argv), cwd=PROJECT, env=self.env, input=stdin, capture_output=True, text=True, check=check
        )

    def run_in_foreground(self, *argv: str) -> int:
        """Run a command that prints to the terminal. Return its exit code.

        On Ctrl-C the terminal signals the command too. `pulumi` then finishes the current resource and writes its
        state, so wait for it: `subprocess.run` would kill it after a quarter of a second.
        """
        with subprocess.Popen(self.command(*argv), cwd=PROJECT, env=self.env) as process:
            try:
                return process.wait()
            except KeyboardInterrupt:
                process.wait()
                raise

    def with_variables(self, variables: Mapping[str, str]) -> "Environment":
        """Return the environment with these variables added or replaced."""
        prefix = self.command_prefix
        if prefix:
            prefix = (*prefix, "env", *(f"{name}={value}" for name, value in variables.items()))
        return Environment({**self.variables, **variables}, prefix)

    def shell_exports(self) -> str:
        """Return shell commands that export the variables."""
        return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in self.variables.items())


def create_environment(name: str, engine: Engine, cluster: Cluster | None) -> Environment:
    """Return the environment of the embedded cluster `name`, or of the cluster of KUBECONFIG, with its stack."""
    state = STATE / name
    variables = {**engine.env, **_backend_variables(state), "PULUMI_STACK": STACK if cluster else OWN_STACK}
    search_path = os.environ.get("PATH", os.defpath)
    if cluster:
        search_path = cluster.search_path(search_path)
        variables |= {
            "KUBECONFIG": str(cluster.kubeconfig),
            "DOCKER_HOST": cluster.docker_host,
            "DOCKER_CONFIG": str(state / "docker"),  # keeps logins to this registry out of ~/.docker
        }
    folders = [str(Path(sys.executable).parent), *([str(engine.path)] if engine.path else [])]
    # No folder twice, because `eval "$(python -m dev env)"` may run twice in one shell.
    variables["PATH"] = os.pathsep.join(dict.fromkeys([*folders, *search_path.split(os.pathsep)]))
    prefix = cluster.command("laptop", [], PROJECT, variables) if cluster and cluster.is_isolated else []
    return Environment(variables, tuple(prefix))


def _backend_variables(state: Path) -> dict[str, str]:
    """Return the variables of a file backend in the clone, and create its folder. The user's backend is not used."""
    folder = state / "pulumi"
    folder.mkdir(parents=True, exist_ok=True)
    return {"PULUMI_BACKEND_URL": folder.as_uri(), "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE}
