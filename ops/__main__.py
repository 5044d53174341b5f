"""The command line: `python -m ops propose`, `verify`, `status`, `trust`, `login`, `recover`, and the maintenance jobs.

Exit codes: 0 for success, 1 if a check failed or action is needed, 2 if the command could not run or was called
wrongly.
Each command imports its modules when it is called, because the registry and Kubernetes clients load slowly.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer

from .errors import CheckError, CommandError, NotDeployedError
from .stack import PublicOutputs, parse_address, read_mode, read_namespace, read_outputs, read_public_outputs

Stack = Annotated[str, typer.Option(metavar="NAME", help="Stack of the registry.")]
Address = Annotated[
    str, typer.Option(metavar="IP[:PORT]", help="Connect to this address. Default: the address of the endpoint's name.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

CLIENTS = "docker|podman|containerd|skopeo|system|python|all"

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def ops() -> None:
    """Operate a deployed registry."""


@app.command()
def propose(
    write: Annotated[
        str, typer.Option("--write", metavar="STACK", help="Set the values in this stack, except those that it has.")
    ] = "",
    json: Json = False,
) -> None:
    """Propose the config of a registry that works on your cluster.

    The command reads nodes, StorageClasses, IngressClasses, Gateways, Services
    and the version of the cluster of KUBECONFIG. It prints at most eight
    commands, each with its reason, and the choices that it did not make.
    It does not change the cluster, and needs no deployed stack.

    \b
    EXAMPLES
      python -m ops propose
      python -m ops propose --write mine
      python -m ops propose --json
    """
    from .propose import print_proposal, print_proposal_json
    from .propose.choices import propose_config
    from .propose.facts import read_facts
    from .propose.stack_config import write_proposal

    proposal = propose_config(read_facts())
    written = write_proposal(write, proposal) if write else None
    if json:
        print_proposal_json(proposal, written)
    else:
        print_proposal(proposal, written, write)


@app.command()
def verify(
    stack: Stack = "dev",
    address: Address = "",
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time to wait for the registry to accept connections.")
    ] = 0,
    from_nodes: Annotated[
        bool, typer.Option("--from-nodes", help="Also pull the test image on every node of the cluster.")
    ] = False,
    json: Json = False,
) -> None:
    """Check a registry from end to end as a client uses it.

    The checks cover the name, TLS, the password, push, pull and the catalog.
    A read-only registry and a mirror must refuse the push, and serve the images
    that they have. The upstream of a mirror must answer.
    The first check that fails ends the run. The command prints its cause and
    remedy. If the cause may be an object store, the upstream or the disk, the
    command asks the Pods. The exit code is 0 if all checks pass, otherwise 1.

    \b
    EXAMPLES
      python -m ops verify --stack dev
      python -m ops verify --address 192.168.56.10
      python -m ops verify --from-nodes --json
    """
    from . import verify as verification

    with _explain_missing_outputs(stack):
        outputs = read_outputs(stack)
    pull_on_nodes: verification.PullOnNodes | None = None
    if from_nodes:
        from .kubernetes import connect
        from .verify.node_pulls import pull_on_every_node

        pull_on_nodes = partial(pull_on_every_node, connect())
    target = _parse_address(address, outputs.port)
    verification.wait_for_port(outputs, target, wait)
    results = verification.run_checks(
        outputs,
        target,
        pull_on_nodes,
        mode=read_mode(stack),
        find_cause=_ask_cluster,
    )
    if json:
        passed = verification.print_results_json(results, outputs.endpoint)
    else:
        passed = verification.print_results(results, f"{outputs.endpoint} ({stack})")
    raise typer.Exit(0 if passed else 1)


@app.command()
def status(
    stack: Stack = "dev",
    address: Address = "",
    endpoint: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Check a registry whose stack you do not have. Requires --ca.")
    ] = "",
    ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with the `ca_pem` of the registry at --endpoint.")
    ] = None,
    drift: Annotated[bool, typer.Option(help="Compare the cluster with the stack, which takes some seconds.")] = True,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write the report and all images as a page.")
    ] = None,
    json: Json = False,
) -> None:
    """Report the state of a registry, and what to do within 30 days.

    The report covers the certificate, the CA, a rotation in progress, users,
    images, a push, free space, the volume, restarts, Secrets, an object store or
    upstream, nodes, jobs and drift. The command only reads, and pushes the same
    34 bytes each time. The exit code is 0 if no action is needed, otherwise 1.
    With --html it also writes one page for a browser, with all repositories,
    tags, digests and sizes. The page holds no password.

    \b
    EXAMPLES
      python -m ops status --stack dev
      python -m ops status --html status.html
      python -m ops status --no-drift --json
      python -m ops status --endpoint docker-registry:5000 --ca ca.pem
    """
    from . import status as report
    from .output_file import require_writable
    from .status.target import from_endpoint, from_stack

    if bool(endpoint) != bool(ca):
        raise typer.BadParameter("--endpoint and --ca must be used together.", param_hint="--endpoint")
    if html:
        require_writable(html)
    with _explain_missing_outputs(stack):
        target = from_endpoint(endpoint, ca) if ca else from_stack(stack, check_drift=drift)
    target = replace(target, address=_parse_address(address, target.outputs.port))
    rows = list(report.run_checks(target))
    healthy = report.print_status_json(rows, target) if json else report.print_status(rows, target)
    if html:
        from .status.page import write_page

        write_page(html, rows, target)
    raise typer.Exit(0 if healthy else 1)


@app.command()
def trust(
    stack: Stack = "dev",
    clients: Annotated[
        list[str] | None,
        typer.Option(
            "--for",
            metavar=CLIENTS,
            help="Client to configure (repeatable). Default: the container clients of this machine.",
        ),
    ] = None,
    address: Annotated[
        str, typer.Option(metavar="IP", help="Address for /etc/hosts. Default: the stack's, or that of a node.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the changes without making them.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the files that this command wrote.")] = False,
    endpoint: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Registry whose stack no longer exists. Requires --remove.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Make the changes without a prompt.")] = False,
) -> None:
    """Make the clients of this machine trust the registry.

    The command installs the registry's CA for each client, and adds the
    registry's name to /etc/hosts if it does not resolve. It prints all changes
    and asks before it makes them. It never overwrites files of other programs.

    \b
    EXAMPLES
      python -m ops trust --stack dev
      python -m ops trust --for docker --for system --yes
      python -m ops trust --address 192.168.56.10 --dry-run
      python -m ops trust --remove
    """
    from . import trust as trust_commands
    from .nodes import find_address
    from .report import print_line
    from .trust.machine import describe_machine

    names = _parse_clients(clients or [], list(trust_commands.CLIENTS))
    if endpoint and not (remove and re.fullmatch(r"\S+:\d+", endpoint)):
        raise typer.BadParameter("Use HOST:PORT, together with --remove.", param_hint="--endpoint")
    if address and not _is_ip(address):
        message = f"{address!r} is not an IP address such as 192.168.56.10."
        raise typer.BadParameter(message, param_hint="--address")
    machine = describe_machine(typer.confirm)
    registry = PublicOutputs(endpoint, "", ()) if endpoint else read_public_outputs(stack)
    if not (remove or address or registry.addresses):
        address = find_address(registry)
    print_line(registry.endpoint if endpoint else f"{registry.endpoint} (stack {stack!r})")
    if remove:
        trust_commands.uninstall(machine, registry, names, dry_run, yes)
    else:
        trust_commands.install(machine, registry, names, address, dry_run, yes)


@app.command()
def login(
    stack: Stack = "dev",
    program: Annotated[
        str, typer.Option("--with", metavar="docker|podman", help="Program to use. Default: the first on PATH.")
    ] = "",
) -> None:
    """Log in to the registry as the stack's first user.

    The command runs `docker login` or `podman login`. The password passes
    through a pipe, so it is in no command line and in no environment.

    \b
    EXAMPLES
      python -m ops login --stack dev
      python -m ops login --with podman
    """
    from .login import PROGRAMS, log_in

    if program not in ("", *PROGRAMS):
        message = f"{program!r} is not one of {', '.join(PROGRAMS)}."
        raise typer.BadParameter(message, param_hint="--with")
    typer.echo(log_in(read_outputs(stack), program, stack))


@app.command()
def recover(
    stack: Stack = "dev",
    json: Json = False,
) -> None:
    """Prepare the stack for `pulumi up --refresh` after an interrupted run.

    The command ends orphaned plugins, releases a stale lock, removes incomplete
    files of the backend, and adds objects that exist on the cluster to the state.
    It neither creates nor deletes anything on the cluster. If no run was
    interrupted, it makes no change.

    \b
    EXAMPLES
      python -m ops recover --stack dev
      python -m ops recover --json
    """
    from . import recover as recovery

    result = recovery.recover(stack)
    if json:
        recovery.print_recovery_json(result)
    else:
        recovery.print_recovery(result)


DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done without doing it.")]


@app.command()
def collect(stack: Stack = "dev", dry_run: DryRun = False, json: Json = False) -> None:
    """Delete what no image needs, now.

    The command runs the job of the input `collect` at once, and prints its
    progress. The rules of `retention` are applied before. Clients can push
    and pull meanwhile. The exit code is 1 if damage remains, otherwise 0.

    \b
    EXAMPLES
      python -m ops collect --stack dev
      python -m ops collect --dry-run --json
    """
    _maintain("collect", stack, ["--dry-run"] if dry_run else [], as_json=json)


@app.command()
def prune(stack: Stack = "dev", dry_run: DryRun = False, json: Json = False) -> None:
    """Apply the rules of `retention`, now.

    The command removes tags, and the images that only these tags name. Their
    layers take space until the next collection. The exit code is 1 if damage
    remains, otherwise 0.

    \b
    EXAMPLES
      python -m ops prune --dry-run
      python -m ops prune --stack dev --json
    """
    _maintain("prune", stack, ["--dry-run"] if dry_run else [], as_json=json)


@app.command()
def scrub(
    stack: Stack = "dev",
    everything: Annotated[
        bool, typer.Option("--all", help="Read every blob. Default: new ones, and those whose turn it is.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Repair nothing, also if `scrub.heal` is true.")] = False,
    json: Json = False,
) -> None:
    """Look for damaged images, now.

    The command runs the job of the input `scrub` at once, and prints its
    progress. It names the repository and the tags of everything that is
    damaged. The exit code is 1 if damage remains, otherwise 0.

    \b
    EXAMPLES
      python -m ops scrub --all
      python -m ops scrub --stack dev --dry-run --json
    """
    options = [*(["--all"] if everything else []), *(["--dry-run"] if dry_run else [])]
    _maintain("scrub", stack, options, as_json=json)


@app.command()
def backup(stack: Stack = "dev", dry_run: DryRun = False, json: Json = False) -> None:
    """Copy all images to the place of the backup, now.

    The command runs the job of the input `backup` at once, and prints its
    progress. It copies only the images that the backup does not have. Clients
    can push and pull meanwhile. The exit code is 1 if an image is damaged,
    otherwise 0.

    \b
    EXAMPLES
      python -m ops backup --stack dev
      python -m ops backup --dry-run --json
    """
    _maintain("backup", stack, ["--dry-run"] if dry_run else [], as_json=json)


@app.command()
def restore(
    stack: Stack = "dev",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also change tags that the registry has with another digest.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read the whole backup, and write nothing to the registry.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Write to the registry without a prompt.")] = False,
    json: Json = False,
) -> None:
    """Copy all images of the last backup to the registry.

    The command copies the images that the registry does not have, and checks
    all digests. It names the missing images. Tags that the registry has with
    another digest stay. It asks before it writes. The exit code is 1 if an
    image is missing or damaged, otherwise 0.

    \b
    EXAMPLES
      python -m ops restore --dry-run
      python -m ops restore --stack dev --yes
    """
    from .maintenance import confirm_restore

    if not (dry_run or yes):
        confirm_restore(stack, typer.confirm)
    options = [*(["--overwrite"] if overwrite else []), *(["--dry-run"] if dry_run else [])]
    _maintain("restore", stack, options, as_json=json)


def _maintain(task: str, stack: str, options: list[str], *, as_json: bool) -> None:
    from . import maintenance
    from .stack import read_all_outputs

    with _explain_missing_outputs(stack):
        namespace = str(read_all_outputs(stack)["namespace"])
    run = maintenance.run_job(namespace, task, options)
    is_whole = maintenance.print_run_json(run) if as_json else maintenance.print_run(run)
    raise typer.Exit(0 if is_whole else 1)


@contextmanager
def _explain_missing_outputs(stack: str) -> Iterator[None]:
    """Add the cause if `pulumi up` has not ended, and so a stack has no outputs, because an object store fails."""
    try:
        yield
    except NotDeployedError as error:
        if problem := _ask_cluster(read_namespace(stack), is_write=False):
            raise NotDeployedError(f"{error.cause} {problem.cause}", problem.remedy) from None
        raise


def _ask_cluster(namespace: str, is_write: bool) -> CheckError | None:
    from .pod_diagnosis import ask_cluster  # slow, and not needed if all checks pass

    return ask_cluster(namespace, is_write)


def _parse_clients(names: list[str], supported: list[str]) -> list[str]:
    """Return the clients of `--for` without duplicates, and every client for `all`. Refuse unknown names."""
    for name in names:
        if name not in (*supported, "all"):
            raise typer.BadParameter(f"{name!r} is not one of {CLIENTS}.", param_hint="--for")
    return supported if "all" in names else list(dict.fromkeys(names))


def _parse_address(address: str, default_port: int) -> tuple[str, int] | None:
    """Return host and port of `--address`, or None if it is empty. Refuse a text that is not an address."""
    try:
        return parse_address(address, default_port) if address else None
    except ValueError:
        message = f"{address!r} is not IP[:PORT] such as 192.168.56.10:5000."
        raise typer.BadParameter(message, param_hint="--address") from None


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def main(program: str = "python -m ops") -> None:
    """Run a command. Print a `CommandError` as a message instead of a traceback."""
    try:
        app(prog_name=program)
    except CommandError as error:
        typer.echo(error, err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
