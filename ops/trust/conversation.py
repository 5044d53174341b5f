"""What is said and asked on the way: the registry, the clients, every file, and only then it is written."""

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..stack import Endpoint, Known, Refusal
from . import act, places, plan, system
from .machine import Machine
from .plan import Change

WIDE = 400
"""Columns: a path that is cut in two cannot be copied."""


def trust(
    machine: Machine, known: Known, clients: Sequence[str], address: str = "", dry_run: bool = False, yes: bool = False
) -> None:
    """Have `clients`, else those that are here, trust the registry and find it, at `address` if that is given."""
    if not places.certificates(known.ca_pem):
        raise Refusal(f"the stack puts out no CA of {known.endpoint}: bring it up with `pulumi up`")
    chosen = list(clients) or places.found(machine)
    if not chosen:
        raise Refusal(f"no client is found here: name one with --for, of {', '.join(places.CLIENTS)}")
    known = replace(known, addresses=(address,)) if address else known
    files = plan.installation(machine, known, chosen)
    say(f"for {', '.join(chosen)}{'' if clients else ', found on this machine'}")
    changes = [*files, plan.hosts_line(machine, known)]
    if _agreed(machine, changes, "Write that?", dry_run, yes):
        act.commit(machine, changes)
        say("written")
    if not dry_run and "system" in chosen:
        _refresh(machine, known, files)
    if "python" in chosen:
        bundle = places.python_bundle(known, machine)
        say(f"→ export REQUESTS_CA_BUNDLE={bundle} SSL_CERT_FILE={bundle}")


def forget(
    machine: Machine, registry: Endpoint, clients: Sequence[str], dry_run: bool = False, yes: bool = False
) -> None:
    """Take away what `trust` wrote for the registry, for `clients` or all of them."""
    chosen = list(clients) or list(places.CLIENTS)
    changes = plan.removal(machine, registry, chosen)
    store = system.store_of(machine)
    anchors = [change for change in changes if store and change.path.parent == store.anchors]
    if _agreed(machine, changes, "Take that away?", dry_run, yes):
        act.commit(machine, changes)
        say("taken away")
        if store and anchors:
            machine.run((store.program, *store.anew))


def say(text: str) -> None:
    """Print a line as it is."""
    Console().print(text, markup=False, highlight=False, soft_wrap=True)


def _agreed(machine: Machine, changes: Sequence[Change], question: str, dry_run: bool, yes: bool) -> bool:
    """Show it; whether it is to be done."""
    _show(changes)
    to_do = [change for change in changes if change.acts]
    if not to_do or dry_run:
        say("nothing is written: --dry-run" if to_do else "already so")
        return False
    barred = [change.path for change in to_do if not machine.may_write(change.path)]
    if barred:
        raise Refusal(f"{barred[0]} is not yours to write, and nothing was written: {machine.as_root}")
    if yes:
        return True
    if not machine.ask:
        raise Refusal("this is no terminal, so nobody can be asked and nothing was written: call it with --yes")
    if not machine.ask(question):
        raise Refusal("nothing was written, as you said")
    return True


def _show(changes: Sequence[Change]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for change in changes:
        table.add_row(change.status, escape(str(change.path)), escape(change.note))
    if changes:
        Console(width=WIDE).print(table, highlight=False)


def _refresh(machine: Machine, known: Known, files: Sequence[Change]) -> None:
    """Have the system make its list again, unless it has what it should: an earlier call may have been cut off."""
    store = system.store_of(machine)
    if store is None:
        return
    listed = "".join((machine.read(store.bundle) or "").split())
    missing = [each for each in places.certificates(known.ca_pem) if "".join(each.split()) not in listed]
    gone = [change for change in files if change.status == "removed" and change.path.parent == store.anchors]
    if missing or gone:
        machine.run((store.program, *(store.anew if gone else ())))
