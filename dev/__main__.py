"""Run the registry on a Kubernetes cluster that is embedded in this Linux machine.

The cluster needs root. It has two nodes and a laptop with a Docker engine. Its state is in .dev/NAME.

\b
Examples:
  python -m dev up               start the cluster, deploy the registry and verify it
  python -m dev status           print which daemons run and which nodes are Ready
  eval "$(python -m dev env)"    use the cluster's pulumi, kubectl and docker in this shell
  python -m dev down             stop the cluster, keep images and state
  python -m dev down --wipe      stop the cluster, delete images and state
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from dev.cluster import Cluster
from dev.cluster.programs import list_built_programs
from dev.console import step
from dev.deploy import Deployment
from dev.environment import PROJECT, STATE, create_environment
from dev.errors import CommandError, RequirementError
from dev.toolchain.engine import provide_engine

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help=__doc__)

Name = Annotated[str, typer.Option("--cluster", help="Name of the embedded cluster. Its files are in .dev/NAME.")]
DefaultPeriods = Annotated[
    bool,
    typer.Option(
        help="Use Kubernetes' default periods. A changed Secret is then noticed after a minute, not after seconds."
    ),
]
Isolated = Annotated[
    bool, typer.Option(help="Give this machine no address in the cluster. Commands then run on its laptop.")
]


@app.command()
def release(
    version: Annotated[str, typer.Argument(help="Number of the new version, such as 1.2.3.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Build and test it, but keep nothing.")] = False,
) -> None:
    """Release a version of the package: its changelog, its wheel in dist/, its commit and its tag.

    The clone must have no changes. A failed release does not change it, and the same command finishes an interrupted
    release. The command does not push.

    \b
    Examples:
      python -m dev release 1.2.3 --dry-run
      python -m dev release 1.2.3
    """
    from dev import release as releases

    typer.echo(releases.release(PROJECT, version, releases.build_and_test, dry_run=dry_run))


@app.command()
def up(name: Name = "dev", isolated: Isolated = False, default_periods: DefaultPeriods = False) -> None:
    """Start the cluster, deploy the registry and verify it.

    A second run starts the missing parts. It takes seconds if the cluster is complete. If KUBECONFIG names a cluster
    that answers, the registry is deployed there, unless the embedded cluster is isolated.

    \b
    Examples:
      python -m dev up
      python -m dev up --cluster other --isolated
      KUBECONFIG=~/.kube/config python -m dev up
    """
    cluster = _select_cluster(name, isolated, default_periods)
    if cluster:
        cluster.check()
    engine = provide_engine(programs=list_built_programs() if cluster else ())
    if cluster:
        with step("two nodes of Kubernetes, and a laptop"):
            cluster.up()
    Deployment(create_environment(name, engine, cluster), STATE / name, cluster).up()


@app.command()
def down(
    name: Name = "dev", wipe: Annotated[bool, typer.Option(help="Delete the images and the state too.")] = False
) -> None:
    """Stop the cluster and undo its changes to this machine. Images and state stay in .dev for the next `up`.

    \b
    Examples:
      python -m dev down
      python -m dev down --wipe
    """
    cluster = Cluster(STATE / name, name)
    with step(f"cluster {name} stopped"):
        if wipe:
            cluster.wipe()
        else:
            cluster.down()


@app.command()
def status(name: Name = "dev") -> None:
    """Print which daemons run and which nodes are Ready. Exit with 1 if the cluster is not up.

    \b
    Example:
      python -m dev status --cluster other
    """
    cluster_status = Cluster(STATE / name, name).status()
    nodes = {f"node {node} Ready": ready for node, ready in cluster_status.nodes.items()}
    for title, healthy in {**cluster_status.daemons, **nodes}.items():
        print(f"  {'✓' if healthy else '✗'} {title}")
    raise typer.Exit(0 if cluster_status.is_up else 1)


@app.command()
def env(name: Name = "dev") -> None:
    """Print shell variables that make pulumi, kubectl and docker use the cluster.

    \b
    Example:
      eval "$(python -m dev env)"
    """
    print(create_environment(name, provide_engine(), _select_cluster(name, isolated=False)).shell_exports())


def _select_cluster(name: str, isolated: bool, default_periods: bool = False) -> Cluster | None:
    """Return the embedded cluster, or None if KUBECONFIG names another cluster that answers.

    If the embedded cluster is isolated, return it without regard to KUBECONFIG.
    """
    cluster = Cluster(STATE / name, name, isolated, default_periods)
    kubeconfig = os.environ.get("KUBECONFIG")
    if isolated or not kubeconfig or Path(kubeconfig) == cluster.kubeconfig:
        return cluster
    with step(f"the cluster of KUBECONFIG, {kubeconfig}") as current_step:
        kubectl = shutil.which("kubectl")
        if not kubectl:
            raise RequirementError(
                "The command `kubectl` is missing, so the cluster of KUBECONFIG cannot be checked.",
                "Install it, or unset KUBECONFIG to use the embedded cluster.",
            )
        command = [kubectl, "get", "--raw", "/readyz", "--request-timeout=5s"]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return None
        current_step.title = f"KUBECONFIG {kubeconfig} does not answer, so the embedded cluster is used"
    return cluster


def main() -> None:
    """Run the command line. Print a `CommandError` without a traceback, and exit with its code."""
    try:
        app()
    except CommandError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
