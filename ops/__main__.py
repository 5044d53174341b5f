"""The command line: `python -m ops verify`, `status`, `trust`, `login` and `recover`.

Exit codes: 0 done, 1 the registry failed a check or needs a person, 2 something is in the way or the call is wrong.
Each command imports what it needs when it is called: a registry client and a Kubernetes client are half a second each.
"""

import re
import sys
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer

from .stack import Known, Refusal, read_known, read_outputs

Stack = Annotated[str, typer.Option(help="The stack of the registry.")]
Address = Annotated[str, typer.Option(metavar="IP[:PORT]", help="Connect there, whatever the name says.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON in place of the table.")]

CLIENTS = "docker|podman|containerd|skopeo|system|python|all"
FOR = "Who is to trust it, several times if need be. Default the container clients that are found here."

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def ops() -> None:
    """What a person does with a registry that runs."""


@app.command()
def verify(
    stack: Stack = "dev",
    address: Address = "",
    wait: Annotated[float, typer.Option(metavar="SECONDS", help="Wait so long for something to answer.")] = 0,
    from_nodes: Annotated[bool, typer.Option("--from-nodes", help="Have every node of the cluster pull, too.")] = False,
    json: Json = False,
) -> None:
    """Check the registry from end to end: name, TLS, users, push, pull, catalog."""
    from . import verify as visit

    outputs = read_outputs(stack)
    pulls: visit.Pulls | None = None
    if from_nodes:
        from . import cluster, nodes

        pulls = partial(nodes.pull_on_every_node, cluster.connect())
    pinned = _pinned(address, outputs.port)
    visit.wait_for_answer(outputs, pinned, wait)
    checks = visit.verify(outputs, pinned, pulls)
    passed = visit.show_json(checks, outputs.endpoint) if json else visit.show(checks, f"{outputs.endpoint} ({stack})")
    raise typer.Exit(0 if passed else 1)


@app.command()
def status(
    stack: Stack = "dev",
    address: Address = "",
    endpoint: Annotated[str, typer.Option(metavar="HOST:PORT", help="A registry without its stack; with --ca.")] = "",
    ca: Annotated[Path | None, typer.Option(help="With --endpoint: the file of its `ca_pem`.")] = None,
    drift: Annotated[bool, typer.Option(help="Look for drift, which takes seconds.")] = True,
    json: Json = False,
) -> None:
    """Say what of the registry needs a person within 30 days: certificates, image, space, drift; exit 1 if any does."""
    from . import place, report
    from . import status as found

    if bool(endpoint) != bool(ca):
        raise typer.BadParameter("--endpoint and --ca go together", param_hint="--endpoint")
    at = place.bare(endpoint, ca) if ca else place.of_stack(stack, drift=drift)
    rows = found.look(replace(at, address=_pinned(address, at.outputs.port)))
    healthy = report.show_json(rows, at.about) if json else report.show(rows, at.about)
    raise typer.Exit(0 if healthy else 1)


@app.command()
def trust(
    stack: Stack = "dev",
    clients: Annotated[list[str] | None, typer.Option("--for", metavar=CLIENTS, help=FOR)] = None,
    address: Annotated[str, typer.Option(metavar="IP", help="Where the name leads, if the stack does not know.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take away what this command wrote.")] = False,
    endpoint: Annotated[str, typer.Option(metavar="HOST:PORT", help="With --remove: of a stack that is gone.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Have the clients of this machine trust the registry: its CA where they look, its name in /etc/hosts."""
    from . import trust as trusting
    from .trust import machine

    chosen = _clients(clients or [], list(trusting.CLIENTS))
    if endpoint and not (remove and re.fullmatch(r"\S+:\d+", endpoint)):
        raise typer.BadParameter("it is HOST:PORT, and goes with --remove", param_hint="--endpoint")
    if address and not _is_address(address):
        raise typer.BadParameter(f"{address!r} is no IP, such as 192.168.56.10", param_hint="--address")
    here = machine.here(typer.confirm)
    known = Known(endpoint, "", ()) if endpoint else read_known(stack)
    trusting.say(f"{known.endpoint}{'' if endpoint else f', as the stack {stack!r} says'}")
    if remove:
        trusting.forget(here, known, chosen, dry_run, yes)
    else:
        trusting.trust(here, known, chosen, address, dry_run, yes)


def _clients(given: list[str], known: list[str]) -> list[str]:
    """The clients that are meant; none given are none."""
    for client in given:
        if client not in (*known, "all"):
            raise typer.BadParameter(f"{client!r} is none of {CLIENTS}", param_hint="--for")
    return known if "all" in given else list(dict.fromkeys(given))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


@app.command()
def login(
    stack: Stack = "dev",
    program: Annotated[str, typer.Option("--with", metavar="docker|podman", help="Default the one that is here.")] = "",
) -> None:
    """Log in to the registry as the stack's first user; the password goes through a pipe alone."""
    from . import login as entrance

    if program not in ("", *entrance.PROGRAMS):
        raise typer.BadParameter(f"{program!r} is none of {', '.join(entrance.PROGRAMS)}", param_hint="--with")
    typer.echo(entrance.log_in(read_outputs(stack), program, stack))


@app.command()
def recover(
    stack: Stack = "dev",
    json: Json = False,
) -> None:
    """Make the stack ready for the next `pulumi up --refresh` after one that was interrupted."""
    from . import recover as recovery

    done = recovery.recover(stack)
    if json:
        recovery.show_json(done)
    else:
        recovery.show(done)


def _pinned(address: str, port: int) -> tuple[str, int] | None:
    from .verify import parse_address

    try:
        return parse_address(address, port) if address else None
    except ValueError:
        message = f"{address!r} is no IP[:PORT], such as 192.168.56.10:5000"
        raise typer.BadParameter(message, param_hint="--address") from None


def main() -> None:
    """Run a command; what is in its way is a message, not a traceback."""
    try:
        app(prog_name="python -m ops")
    except Refusal as refusal:
        typer.echo(refusal, err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
