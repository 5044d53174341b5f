"""Show the changes, ask for confirmation, and apply them."""

from collections.abc import Sequence
from dataclasses import replace

from ..errors import CommandError
from ..report import print_line, print_rows
from ..stack import Endpoint, PublicOutputs
from . import clients, plan, system_store
from .apply import apply_changes
from .machine import Machine
from .plan import Change


def install(
    machine: Machine,
    registry: PublicOutputs,
    names: Sequence[str],
    address: str = "",
    dry_run: bool = False,
    yes: bool = False,
) -> None:
    """Make the named clients trust the registry, and add its name to /etc/hosts if it does not resolve.

    Without names, the clients are the container clients of this machine. `address` replaces those of the stack.
    """
    if not clients.split_certificates(registry.ca_pem):
        raise CommandError(f"The stack has no CA for {registry.endpoint}.", "Deploy it with `pulumi up`.")
    client_names = list(names) or clients.detect_clients(machine)
    if not client_names:
        raise CommandError(
            "No container client is installed on this machine.",
            f"Name one with --for: {', '.join(clients.CLIENTS)}.",
        )
    registry = replace(registry, addresses=(address,)) if address else registry
    files = plan.plan_installation(machine, registry, client_names)
    print_line(f"for {', '.join(client_names)}{'' if names else ' (installed on this machine)'}")
    changes = [*files, plan.plan_hosts_line(machine, registry)]
    if _confirm(machine, changes, "Write these files?", dry_run, yes):
        apply_changes(machine, changes)
        print_line("The files are written.")
    if not dry_run and "system" in client_names:
        _refresh_system_store(machine, registry, files)
    if "python" in client_names:
        bundle = clients.python_bundle(registry, machine)
        print_line(f"→ export REQUESTS_CA_BUNDLE={bundle} SSL_CERT_FILE={bundle}")


def uninstall(
    machine: Machine, registry: Endpoint, names: Sequence[str], dry_run: bool = False, yes: bool = False
) -> None:
    """Remove what `install` wrote for the registry, for the named clients, or without names for all."""
    client_names = list(names) or list(clients.CLIENTS)
    changes = plan.plan_uninstallation(machine, registry, client_names)
    store = system_store.find_store(machine)
    anchors = [change for change in changes if store and change.path.parent == store.anchors]
    if _confirm(machine, changes, "Remove these files?", dry_run, yes):
        apply_changes(machine, changes)
        print_line("The files are removed.")
        if store and anchors:
            machine.run((store.program, *store.refresh_arguments))


def _confirm(machine: Machine, changes: Sequence[Change], question: str, dry_run: bool, yes: bool) -> bool:
    """Print the changes and return whether to apply them. Raise if they are not permitted or not confirmed."""
    print_rows([(change.status, str(change.path), change.note) for change in changes])
    needed_changes = [change for change in changes if change.is_needed]
    if not needed_changes:
        print_line("Nothing to do.")
        return False
    if dry_run:
        print_line("No file was changed (--dry-run).")
        return False
    forbidden_paths = [change.path for change in needed_changes if not machine.may_write(change.path)]
    if forbidden_paths:
        raise CommandError(
            f"You have no permission to change {forbidden_paths[0]}, so no file was changed.",
            f"Run `{machine.sudo_command}`.",
        )
    if yes:
        return True
    if not machine.ask:
        raise CommandError(
            "Standard input is not a terminal, so no file was changed.", "Pass --yes to run without a prompt."
        )
    if not machine.ask(question):
        raise CommandError("You answered no, so no file was changed.", "Run the command again to make the changes.")
    return True


def _refresh_system_store(machine: Machine, registry: PublicOutputs, files: Sequence[Change]) -> None:
    """Rebuild the system's bundle if it lacks a CA, also after an interrupted call, or if a CA was removed."""
    store = system_store.find_store(machine)
    if store is None:
        return
    bundle = "".join((machine.read(store.bundle) or "").split())
    certificates = ["".join(certificate.split()) for certificate in clients.split_certificates(registry.ca_pem)]
    is_missing = any(certificate not in bundle for certificate in certificates)
    is_removed = any(change.status == "removed" and change.path.parent == store.anchors for change in files)
    if is_missing or is_removed:
        machine.run((store.program, *(store.refresh_arguments if is_removed else ())))
