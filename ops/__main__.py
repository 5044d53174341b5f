"""The command line: `python -m ops verify` and `python -m ops recover`.

Exit codes: 0 done, 1 the registry failed a check, 2 something is in the way or the call is wrong. Each command imports
what it needs when it is called: a registry client and a Kubernetes client are half a second each.
"""

import sys
from typing import Annotated

import typer

from .stack import Refusal, read_outputs

Stack = Annotated[str, typer.Option(help="The stack of the registry.")]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def ops() -> None:
    """What a person does with a registry that runs."""


@app.command()
def verify(
    stack: Stack = "dev",
    address: Annotated[str, typer.Option(metavar="IP[:PORT]", help="Connect there, whatever the name says.")] = "",
    wait: Annotated[float, typer.Option(metavar="SECONDS", help="Wait so long for something to answer.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON in place of the table.")] = False,
) -> None:
    """Check the registry from end to end: name, TLS, users, push, pull, catalog."""
    from . import verify as visit

    outputs = read_outputs(stack)
    try:
        pinned = visit.parse_address(address, outputs.port) if address else None
    except ValueError:
        message = f"{address!r} is no IP[:PORT], such as 192.168.56.10:5000"
        raise typer.BadParameter(message, param_hint="--address") from None
    visit.wait_for_answer(outputs, pinned, wait)
    checks = visit.verify(outputs, pinned)
    passed = visit.show_json(checks, outputs.endpoint) if json else visit.show(checks, f"{outputs.endpoint} ({stack})")
    raise typer.Exit(0 if passed else 1)


@app.command()
def recover(
    stack: Stack = "dev",
    json: Annotated[bool, typer.Option("--json", help="Print JSON in place of the table.")] = False,
) -> None:
    """Make the stack ready for the next `pulumi up --refresh` after one that was interrupted."""
    from . import recover as recovery

    done = recovery.recover(stack)
    if json:
        recovery.show_json(done)
    else:
        recovery.show(done)


def main() -> None:
    """Run a command; what is in its way is a message, not a traceback."""
    try:
        app(prog_name="python -m ops")
    except Refusal as refusal:
        typer.echo(refusal, err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
