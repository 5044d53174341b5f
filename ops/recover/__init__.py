"""`ops recover`: after an interrupted `pulumi up`, prepare the stack for `pulumi up --refresh`.

The command ends the plugins of a killed Pulumi engine, releases its lock, and removes its incomplete files. It resolves
pending operations in the state, and looks for objects that were created but not recorded. It neither deletes nor
creates anything on the cluster. The state passes through memory and pipes, never through a file.
"""

import json
from dataclasses import dataclass
from typing import Any

from ..report import print_json, print_line, print_remedies, print_rows
from ..stack import pulumi
from . import file_backend, orphan_plugins
from .state import StateChange, adopt_unrecorded, resolve_pending
from .unrecorded import interrupted_period, preview_creations, read_failed_periods

NO_CHANGE = StateChange({}, [], [])


@dataclass(frozen=True)
class Recovery:
    """Result of a recovery."""

    lock_owner: str
    """Owner of the lock that was released, or ""."""
    removed_files: list[str]
    """Names of incomplete files of the backend."""
    ended_processes: list[str]
    """Plugins without an engine."""
    adopted: list[str]
    """Resources that were added to the state."""
    dropped: list[str]
    """Pending operations that were removed from the state, because their object does not exist or is recorded."""

    @property
    def is_empty(self) -> bool:
        """Return whether the recovery made no change."""
        return not (self.lock_owner or self.removed_files or self.ended_processes or self.adopted or self.dropped)


def recover(stack: str) -> Recovery:
    """Prepare `stack` for `pulumi up --refresh`. Change nothing if no run was interrupted.

    End the plugins before reading the state. Otherwise a plugin without an engine could still create an object, and
    the state would not contain it.
    """
    files = file_backend.find_stack_files(stack)
    lock_owner = file_backend.find_stale_lock(stack, files) if files else ""
    removed_files = file_backend.remove_incomplete_files(files) if files else []
    ended_processes = orphan_plugins.end_orphan_plugins()
    if lock_owner:
        pulumi("cancel", "--yes", "--stack", stack)
    pending, unrecorded = _resolve_pending(stack), _adopt_unrecorded(stack)
    return Recovery(
        lock_owner, removed_files, ended_processes, [*pending.adopted, *unrecorded.adopted], pending.dropped
    )


def print_recovery(recovery: Recovery) -> None:
    """Print the changes, and the next command."""
    if recovery.is_empty:
        print_line("Nothing to recover.")
        return
    rows = {
        "lock released": [recovery.lock_owner] if recovery.lock_owner else [],
        "incomplete file removed": recovery.removed_files,
        "process ended": recovery.ended_processes,
        "adopted": recovery.adopted,
        "dropped": recovery.dropped,
    }
    print_rows([(title, entry) for title, entries in rows.items() for entry in entries])
    print_remedies(["pulumi up --refresh"])


def print_recovery_json(recovery: Recovery) -> None:
    """Print the changes, and whether a refresh is needed, as one JSON object."""
    print_json(
        {
            "unlocked": recovery.lock_owner,
            "mended": recovery.removed_files,
            "ended": recovery.ended_processes,
            "adopted": recovery.adopted,
            "dropped": recovery.dropped,
            "refresh": not recovery.is_empty,
        }
    )


def _resolve_pending(stack: str) -> StateChange:
    """Adopt the objects of pending creations, and drop all other pending operations of the state."""
    state = _export_state(stack)
    if not (state["deployment"] or {}).get("pending_operations"):
        return NO_CHANGE
    from .live_objects import create_object_finder  # the Kubernetes client takes half a second, which `make up` saves

    change = resolve_pending(state["deployment"], create_object_finder([interrupted_period(state["deployment"])]))
    _import_state(stack, {**state, "deployment": change.deployment})
    return change


def _adopt_unrecorded(stack: str) -> StateChange:
    """Adopt objects that failed updates created without recording them."""
    periods = read_failed_periods(stack)
    creations = preview_creations(stack) if periods else []
    if not creations:
        return NO_CHANGE
    from .live_objects import create_object_finder

    state = _export_state(stack)
    change = adopt_unrecorded(state["deployment"] or {}, creations, create_object_finder(periods, any_suffix=True))
    if change.adopted:
        _import_state(stack, {**state, "deployment": change.deployment})
    return change


def _export_state(stack: str) -> dict[str, Any]:
    return dict(json.loads(pulumi("stack", "export", "--stack", stack)))


def _import_state(stack: str, state: dict[str, Any]) -> None:
    pulumi("stack", "import", "--stack", stack, stdin=json.dumps(state))
