"""Where `pulumi`, `kubectl` and `docker` are run, and with what in their environment.

On this machine as it is, when the caller brings a cluster or the embedded one is attached; inside the laptop of an
isolated cluster otherwise. What runs there is the caller's business.
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
PASSPHRASE = "embedded"
"""Of that stack, whose state lies in the clone beside it: it keeps the file backend content, and no one out."""


@dataclass(frozen=True)
class Workplace:
    """Variables to set, and the command that leads into the place, if it is not here."""

    variables: Mapping[str, str]
    enter: tuple[str, ...] = ()

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, **self.variables}

    def command(self, *argv: str) -> list[str]:
        return [*self.enter, *argv]

    def run(self, *argv: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run to the end and return what it printed."""
        return subprocess.run(
            self.command(*argv), cwd=PROJECT, env=self.env, input=stdin, capture_output=True, text=True, check=check
        )

    def show(self, *argv: str) -> int:
        """Run before the person's eyes, and see it to its end.

        On Ctrl-C the program gets the signal too, from the terminal: `pulumi` then stops between two resources and
        writes its state, for which it needs the time that `subprocess.run` would not give it.
        """
        with subprocess.Popen(self.command(*argv), cwd=PROJECT, env=self.env) as process:
            try:
                return process.wait()
            except KeyboardInterrupt:
                process.wait()
                raise

    def with_variables(self, more: Mapping[str, str]) -> "Workplace":
        """Return the place with `more` variables; they replace those of the same name."""
        added = ("env", *(f"{name}={value}" for name, value in more.items())) if self.enter else ()
        return Workplace({**self.variables, **more}, (*self.enter, *added))

    def exports(self) -> str:
        """The variables as a shell reads them."""
        return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in self.variables.items())


def workplace(name: str, engine: Engine, cluster: Cluster | None) -> Workplace:
    """The place for the stack `dev`: the laptop of an isolated cluster, else this machine."""
    state = STATE / name
    variables = {**engine.env, **_backend(state), "PULUMI_STACK": STACK}
    search = os.environ.get("PATH", os.defpath)
    if cluster:
        search = cluster.search_path(search)
        variables |= {
            "KUBECONFIG": str(cluster.kubeconfig),
            "DOCKER_HOST": cluster.docker_host,
            "DOCKER_CONFIG": str(state / "docker"),  # credentials of a registry that comes and goes, not in ~/.docker
        }
    folders = [str(Path(sys.executable).parent), *([str(engine.path)] if engine.path else [])]
    # Each folder once: `eval "$(python -m dev env)"` may be typed twice.
    variables["PATH"] = os.pathsep.join(dict.fromkeys([*folders, *search.split(os.pathsep)]))
    enter = cluster.command("laptop", [], PROJECT, variables) if cluster and cluster.is_isolated else []
    return Workplace(variables, tuple(enter))


def _backend(state: Path) -> dict[str, str]:
    """The stack's state lies in the clone, as its cluster does: a backend of the caller's is left alone."""
    folder = state / "pulumi"
    folder.mkdir(parents=True, exist_ok=True)
    return {"PULUMI_BACKEND_URL": folder.as_uri(), "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE}
