"""After an interrupted `pulumi up`: one call, and the next `pulumi up --refresh` goes on where it ended.

It ends what a killed engine left running, takes its lock, settles what the state does not know the end of, and looks
for what was made without a note. It neither deletes nor creates anything on the cluster. The state passes through
memory and pipes, never through a file.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from . import backend, engine
from .stack import pulumi
from .state import Settled, adopt, settle
from .unnoted import failed_updates, wanted

NOTHING = Settled({}, [], [])


@dataclass(frozen=True)
class Recovered:
    """What was done: whose lock was released, files mended, plugins ended, resources adopted, operations dropped."""

    unlocked: str
    mended: list[str]
    ended: list[str]
    adopted: list[str]
    dropped: list[str]

    @property
    def nothing(self) -> bool:
        """Whether there was nothing to recover."""
        return not (self.unlocked or self.mended or self.ended or self.adopted or self.dropped)


def recover(stack: str) -> Recovered:
    """Make `stack` ready for `pulumi up --refresh`; without an interruption before it, change nothing.

    Plugins end before the state is read: one that works on for a dead engine might create what is then held missing.
    """
    files = backend.files_of(stack)
    holder = backend.dead_holder(stack, files) if files else ""
    mended = backend.mend(files) if files else []
    ended = engine.end_leftovers()
    if holder:
        pulumi("cancel", "--yes", "--stack", stack)
    settled, unnoted = _settle(stack), _adopt(stack)
    return Recovered(holder, mended, ended, [*settled.adopted, *unnoted.adopted], settled.dropped)


def _settle(stack: str) -> Settled:
    """Bring what is pending to an end."""
    state = _export(stack)
    if not (state["deployment"] or {}).get("pending_operations"):
        return NOTHING
    from . import cluster  # half a second, which `dev up` need not spend on every run

    settled = settle(state["deployment"], cluster.finder())
    _import(stack, {**state, "deployment": settled.deployment})
    return settled


def _adopt(stack: str) -> Settled:
    """Take in what failed updates made without a note."""
    failed = failed_updates(stack)
    creations = wanted(stack) if failed else []
    if not creations:
        return NOTHING
    from . import cluster

    state = _export(stack)
    settled = adopt(state["deployment"] or {}, creations, cluster.finder(failed))
    if settled.adopted:
        _import(stack, {**state, "deployment": settled.deployment})
    return settled


def _export(stack: str) -> dict[str, Any]:
    return dict(json.loads(pulumi("stack", "export", "--stack", stack)))


def _import(stack: str, state: dict[str, Any]) -> None:
    pulumi("stack", "import", "--stack", stack, given=json.dumps(state))


def show(done: Recovered) -> None:
    """Print what was done, and what to do next."""
    console = Console()
    if done.nothing:
        console.print("nothing to recover")
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    rows = {
        "lock released": [done.unlocked] if done.unlocked else [],
        "cut file removed": done.mended,
        "process ended": done.ended,
        "adopted": done.adopted,
        "dropped": done.dropped,
    }
    for title, entries in rows.items():
        for entry in entries:
            table.add_row(title, entry)
    console.print(table, "→ pulumi up --refresh", sep="\n", markup=False, highlight=False)


def show_json(done: Recovered) -> None:
    """Print what was done, and whether a refresh is due, as one object."""
    print(json.dumps({**asdict(done), "refresh": not done.nothing}))
