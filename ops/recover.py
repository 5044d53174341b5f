"""After an interrupted `pulumi up`: one call, and the next `pulumi up --refresh` goes on where it ended.

It ends what a killed engine left running, takes its lock, and settles what the state does not know the end of. It
neither deletes nor creates anything on the cluster. The state passes through memory and pipes, never through a file.
"""

import json
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from . import engine
from .stack import pulumi
from .state import settle


@dataclass(frozen=True)
class Recovered:
    """What was done: plugins ended, whose lock was released, resources adopted and operations dropped."""

    ended: list[str]
    unlocked: str
    adopted: list[str]
    dropped: list[str]

    @property
    def nothing(self) -> bool:
        """Whether there was nothing to recover."""
        return not (self.ended or self.unlocked or self.adopted or self.dropped)


def recover(stack: str) -> Recovered:
    """Make `stack` ready for `pulumi up --refresh`; without an interruption before it, change nothing.

    Plugins end before the state is read: one that works on for a dead engine might create what is then held missing.
    """
    unlocked = engine.release_lock(stack)
    ended = engine.end_leftovers()
    exported = json.loads(pulumi("stack", "export", "--stack", stack))
    deployment = exported["deployment"] or {}
    if not deployment.get("pending_operations"):
        return Recovered(ended, unlocked, [], [])
    from . import cluster  # half a second, which `dev up` need not spend on every run

    settled = settle(deployment, cluster.finder())
    pulumi("stack", "import", "--stack", stack, given=json.dumps({**exported, "deployment": settled.deployment}))
    return Recovered(ended, unlocked, settled.adopted, settled.dropped)


def show(done: Recovered) -> None:
    """Print what was done, and what to do next."""
    console = Console()
    if done.nothing:
        console.print("nothing to recover")
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    rows = {
        "lock released": [done.unlocked] if done.unlocked else [],
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
