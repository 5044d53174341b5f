"""What is to be written and removed, all of it known before any of it is done. Files are read here, none is changed."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from ..stack import Endpoint, Known, Refusal
from . import hosts, mark, places
from .machine import Machine
from .mark import Marked

THEIRS = "not by this command"


class Change(NamedTuple):
    """One file: new, changed, same, kept (somebody else's) or removed."""

    path: PurePosixPath
    status: str
    text: str | None = None
    """What to write, if anything."""
    made: int = 0
    """How many folders above it go with it when it is removed."""
    note: str = ""

    @property
    def acts(self) -> bool:
        """Whether there is anything to do."""
        return self.status in ("new", "changed", "removed")


def installation(machine: Machine, known: Known, clients: Sequence[str]) -> list[Change]:
    """What makes `clients` trust the registry; Refusal if a file that is not ours is in the way."""
    wanted = {file.path: file.body for client in clients for file in places.CLIENTS[client](known, machine)}
    changes = [_written(machine, known, path, body) for path, body in wanted.items()]
    gone = [path for path in _ours(machine, known, clients) if path not in wanted]
    return [*changes, *(_removed(machine, known, path) for path in gone)]


def removal(machine: Machine, registry: Endpoint, clients: Sequence[str]) -> list[Change]:
    """What takes away all that was ever written for `clients`, and with the last of it the line in /etc/hosts.

    A file of others at such a place is told: by it, that client goes on trusting the registry.
    """
    removed = _ours(machine, registry, clients)
    changes = [_removed(machine, registry, path) for path in removed]
    looked = [path for each in clients if each != "system" for path in places.footprints(each, registry, machine)]
    others = [path for path in dict.fromkeys(looked) if path not in removed and machine.read(path) is not None]
    changes += [Change(path, "kept", note=THEIRS) for path in others]
    text = machine.read(hosts.PATH)
    rest = set(_ours(machine, registry, list(places.CLIENTS))) - set(removed)
    if text is not None and hosts.ours(text, registry) and not rest:
        note = f"without the line of {registry.host}"
        changes.append(Change(hosts.PATH, "changed", hosts.removed(text, registry), note=note))
    return changes


def hosts_line(machine: Machine, known: Known) -> Change:
    """What lets the machine find the registry. A name that somebody else leads elsewhere is left to them."""
    text, host, addresses = machine.read(hosts.PATH), known.host, known.addresses
    own = hosts.ours(text or "", known)
    if own and (not addresses or own in addresses):
        return Change(hosts.PATH, "same", note=f"{own} {host}")
    resolved = machine.resolve(host)
    if not own and hosts.leads(resolved, addresses) and not (addresses and hosts.for_another(text or "", known)):
        return Change(hosts.PATH, "same", note=f"{host} is {', '.join(resolved)} without it")
    if not own and resolved and addresses and not hosts.leads(resolved, addresses):
        elsewhere = f"{host} is {', '.join(resolved)} here, the registry's is {', '.join(addresses)}"
        return Change(hosts.PATH, "kept", note=f"{elsewhere}: ask who gave it that address, or edit by hand")
    if not addresses:
        note = f"{host} does not resolve, and the stack knows no address: call it again with --address IP"
        return Change(hosts.PATH, "kept", note=note)
    line = f"{addresses[0]} {host}"
    if text is None or not machine.may_write(hosts.PATH):
        return Change(hosts.PATH, "kept", note=f"{host} does not resolve: `echo {line} | sudo tee -a {hosts.PATH}`")
    return Change(hosts.PATH, "changed", hosts.added(text, known, addresses[0]), note=f"with the line {line}")


def _written(machine: Machine, known: Known, path: PurePosixPath, body: str) -> Change:
    there = machine.read(path)
    if there is None:
        made = _made(machine, path)
        return Change(path, "new", mark.text(Marked(known.endpoint, made, body)), made)
    file = mark.read(there)
    if file is None and there.strip() == body.strip():
        return Change(path, "same", note=THEIRS)
    if file is None or file.endpoint != known.endpoint:
        whose = f"of {file.endpoint}" if file else f"{THEIRS}, and has other content"
        raise Refusal(f"{path} is {whose}: move it away, or leave out its client (--for); nothing was written")
    if file.body == body:
        return Change(path, "same")
    return Change(path, "changed", mark.text(file._replace(body=body)))


def _removed(machine: Machine, registry: Endpoint, path: PurePosixPath) -> Change:
    file = mark.read(machine.read(path) or "")
    return Change(path, "removed", made=file.made if file else 0)


def _ours(machine: Machine, registry: Endpoint, clients: Sequence[str]) -> list[PurePosixPath]:
    """The files of ours for the registry, each once: two clients may read one."""
    paths = dict.fromkeys(path for client in clients for path in places.footprints(client, registry, machine))
    files = {path: mark.read(machine.read(path) or "") for path in paths}
    return [path for path, file in files.items() if file and file.endpoint == registry.endpoint]


def _made(machine: Machine, path: PurePosixPath) -> int:
    """How many folders above `path` are not there yet, or were made for a file of ours that may go first."""
    there = ((each, mark.read(machine.read(each) or "")) for each in places.everywhere(machine))
    claimed = {folder for each, file in there if file for folder in each.parents[: file.made]}
    for number, folder in enumerate(path.parents):
        if machine.at(folder).exists() and folder not in claimed:
            return number
    return 0
