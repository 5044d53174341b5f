"""Compute all changes before the first one is applied. This module reads files and changes none."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from ..errors import CommandError
from ..stack import Endpoint, PublicOutputs
from . import clients, hosts, marker
from .machine import Machine
from .marker import MarkedFile

UNMANAGED = "not written by this command"
"""Note of a file without the marker."""


class Change(NamedTuple):
    """The change of one file.

    Its status is new, changed or removed, same if no change is needed, or kept if this command may not change the file.
    """

    path: PurePosixPath
    status: str
    text: str | None = None
    """New text of the file, or None."""
    folders: int = 0
    """Number of parent folders to create or remove with the file."""
    note: str = ""
    """Explanation of the status."""

    @property
    def is_needed(self) -> bool:
        """Return whether the file has to be written or removed."""
        return self.status in ("new", "changed", "removed")


def plan_installation(machine: Machine, registry: PublicOutputs, names: Sequence[str]) -> list[Change]:
    """Return the changes that make the clients trust the registry. Raise if an unmanaged file has one of the paths."""
    files = {file.path: file.body for name in names for file in clients.CLIENTS[name](registry, machine)}
    changes = [_plan_write(machine, registry, path, body) for path, body in files.items()]
    obsolete_paths = [path for path in _managed_paths(machine, registry, names) if path not in files]
    return [*changes, *(_plan_removal(machine, path) for path in obsolete_paths)]


def plan_uninstallation(machine: Machine, registry: Endpoint, names: Sequence[str]) -> list[Change]:
    """Return the changes that remove all files of the clients, and with the last file the line in /etc/hosts.

    Unmanaged files at the same paths are listed as kept, because with them the client still trusts the registry.
    """
    removed_paths = _managed_paths(machine, registry, names)
    changes = [_plan_removal(machine, path) for path in removed_paths]
    candidates = [
        path for name in names if name != "system" for path in clients.installed_paths(name, registry, machine)
    ]
    unmanaged_paths = [
        path for path in dict.fromkeys(candidates) if path not in removed_paths and machine.read(path) is not None
    ]
    changes += [Change(path, "kept", note=UNMANAGED) for path in unmanaged_paths]
    text = machine.read(hosts.PATH)
    remaining = set(_managed_paths(machine, registry, list(clients.CLIENTS))) - set(removed_paths)
    if text is not None and hosts.marked_address(text, registry) and not remaining:
        note = f"without the line for {registry.host}"
        changes.append(Change(hosts.PATH, "changed", hosts.remove_line(text, registry), note=note))
    return changes


def plan_hosts_line(machine: Machine, registry: PublicOutputs) -> Change:
    """Return the change that makes the registry's name resolve.

    The file is kept if the name resolves to another address, if the stack has no address, or without permission to
    write. The note then has the remedy.
    """
    text, host, addresses = machine.read(hosts.PATH), registry.host, registry.addresses
    current_address = hosts.marked_address(text or "", registry)  # None without a line of this command
    if current_address and (not addresses or current_address in addresses):
        return Change(hosts.PATH, "same", note=f"{current_address} {host}")
    resolved_addresses = machine.resolve(host)
    is_found = hosts.reaches_registry(resolved_addresses, addresses)
    # The line of another registry with this host may be all that resolves the name. It may be removed at any time.
    if not current_address and is_found and not (addresses and hosts.is_shared(text or "", registry)):
        return Change(hosts.PATH, "same", note=f"{host} already resolves to {', '.join(resolved_addresses)}")
    if not current_address and resolved_addresses and addresses and not is_found:
        note = (
            f"{host} resolves to {', '.join(resolved_addresses)}, but the registry is at {', '.join(addresses)}: "
            "correct DNS or edit the file by hand"
        )
        return Change(hosts.PATH, "kept", note=note)
    if not addresses:
        note = f"{host} does not resolve, and the stack has no address: repeat the command with --address IP"
        return Change(hosts.PATH, "kept", note=note)
    line = f"{addresses[0]} {host}"
    if text is None or not machine.may_write(hosts.PATH):
        if current_address:
            note = f"the address {current_address} of {host} is old: run `{machine.sudo_command}`"
        else:
            note = f"this file cannot be written: run `echo {line} | sudo tee -a {hosts.PATH}`"
        return Change(hosts.PATH, "kept", note=note)
    return Change(hosts.PATH, "changed", hosts.add_line(text, registry, addresses[0]), note=f"with the line {line}")


def _plan_write(machine: Machine, registry: PublicOutputs, path: PurePosixPath, body: str) -> Change:
    text = machine.read(path)
    if text is None:
        folders = _count_new_folders(machine, path)
        return Change(path, "new", marker.format_file(MarkedFile(registry.endpoint, folders, body)), folders)
    file = marker.parse_file(text)
    if file is None and text.strip() == body.strip():
        return Change(path, "same", note=UNMANAGED)
    remedy = "Move it away, or leave out its client (--for). No file was written."
    if file is None:
        raise CommandError(f"{path} was not written by this command and has other content.", remedy)
    if file.endpoint != registry.endpoint:
        raise CommandError(f"{path} belongs to another registry, {file.endpoint}.", remedy)
    if file.body == body:
        return Change(path, "same")
    return Change(path, "changed", marker.format_file(file._replace(body=body)))


def _plan_removal(machine: Machine, path: PurePosixPath) -> Change:
    file = marker.parse_file(machine.read(path) or "")
    return Change(path, "removed", folders=file.folders if file else 0)


def _managed_paths(machine: Machine, registry: Endpoint, names: Sequence[str]) -> list[PurePosixPath]:
    """Return the files that this command wrote for the registry and the clients. Two clients may share a file."""
    paths = dict.fromkeys(path for name in names for path in clients.installed_paths(name, registry, machine))
    files = {path: marker.parse_file(machine.read(path) or "") for path in paths}
    return [path for path, file in files.items() if file and file.endpoint == registry.endpoint]


def _count_new_folders(machine: Machine, path: PurePosixPath) -> int:
    """Return how many parents of `path` do not exist, or were created for another file of this command."""
    files = ((other, marker.parse_file(machine.read(other) or "")) for other in clients.find_candidate_files(machine))
    created_folders = {folder for other, file in files if file for folder in other.parents[: file.folders]}
    for number, folder in enumerate(path.parents):
        if machine.locate(folder).exists() and folder not in created_folders:
            return number
    return 0
