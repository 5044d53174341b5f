"""`python -m dev`: the engine and the cluster that come with the project, for those who have neither at hand."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from dev import cluster as embedded
from dev.cluster import Cluster
from dev.cluster.programs import BUILT
from dev.console import Unmet, step
from dev.deploy import Deployment, Failed
from dev.toolchain.build import BuildFailed
from dev.toolchain.engine import provide
from dev.workplace import STATE, workplace

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

Name = Annotated[str, typer.Option("--cluster", help="Name of the embedded cluster; its files lie in .dev/NAME.")]
StockPeriods = Annotated[
    bool, typer.Option(help="Keep Kubernetes' own periods, a minute where the cluster takes seconds.")
]
Isolated = Annotated[bool, typer.Option(help="Give this machine no address in the cluster: work from its laptop.")]


@app.command()
def up(name: Name = "dev", isolated: Isolated = False, stock_periods: StockPeriods = False) -> None:
    """Engine, cluster, `pulumi up` and `ops verify`; heals what is there, and is quick when all of it is."""
    cluster = _embedded(name, isolated, stock_periods)
    if cluster:
        cluster.check()
    engine = provide(also=BUILT if cluster else ())
    if cluster:
        with step("two nodes of Kubernetes, and a laptop"):
            cluster.up()
    Deployment(workplace(name, engine, cluster), STATE / name, cluster).up()


@app.command()
def down(name: Name = "dev", wipe: Annotated[bool, typer.Option(help="Delete images and state too.")] = False) -> None:
    """Stop the embedded cluster and leave the machine as it was; images and state stay in .dev for the next up."""
    cluster = Cluster(STATE / name, name)
    with step(f"cluster {name} stopped"):
        if wipe:
            cluster.wipe()
        else:
            cluster.down()


@app.command()
def status(name: Name = "dev") -> None:
    """Say what of the embedded cluster runs; exit 1 when it is not up."""
    found = Cluster(STATE / name, name).status()
    for what, well in {**found.daemons, **{f"node {node} Ready": ready for node, ready in found.nodes.items()}}.items():
        print(f"  {'✓' if well else '✗'} {what}")
    raise typer.Exit(0 if found.is_up else 1)


@app.command()
def env(name: Name = "dev") -> None:
    """Print the variables for a shell in which pulumi, kubectl and docker work: eval "$(python -m dev env)"."""
    print(workplace(name, provide(), _embedded(name, isolated=False)).exports())


def _embedded(name: str, isolated: bool, stock_periods: bool = False) -> Cluster | None:
    """The embedded cluster, unless KUBECONFIG names another one that answers."""
    cluster = Cluster(STATE / name, name, isolated, stock_periods)
    given = os.environ.get("KUBECONFIG")
    if isolated or not given or Path(given) == cluster.kubeconfig:
        return cluster
    with step(f"the cluster of KUBECONFIG, {given}") as current:
        kubectl = shutil.which("kubectl")
        if not kubectl:
            raise Unmet(
                "kubectl is missing, with which the cluster of KUBECONFIG is asked: install it, or unset KUBECONFIG."
            )
        asked = subprocess.run([kubectl, "get", "--raw", "/readyz", "--request-timeout=5s"], capture_output=True)
        if asked.returncode == 0:
            return None
        current.title = f"KUBECONFIG {given} does not answer: the embedded cluster is used"
    return cluster


def main() -> None:
    """One line for what a person can put right, and the exit code that tells them apart; a trace for a bug."""
    try:
        app()
    except Unmet as unmet:
        print(unmet, file=sys.stderr)
        sys.exit(2)
    except Failed as failed:
        sys.exit(failed.code)
    except (BuildFailed, embedded.Failed) as failed:
        print(failed, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
