"""The report of a job: lines for people while it works, one JSON object for each change, and a summary."""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

SUMMARY_BYTES = 4096
"""Bytes of the longest termination message that Kubernetes keeps (core/v1, terminationMessagePath)."""

MOST_DAMAGE = 500
"""Damaged files that are reported in full. Further ones are only counted."""


@dataclass
class Damage:
    """Something that is not as the registry wrote it.

    Attributes:
        what: The kind of file: blob, manifest, layer link, tag link or manifest link.
        kind: The kind of damage in words, such as "the link is empty".
        digest: Digest of the blob, or "" for a tag.
        images: The images that need the file, as REPOSITORY:TAG, or REPOSITORY if no tag does.
        repair: The repair that the job has made, in words, or "".
    """

    what: str
    kind: str
    digest: str
    images: list[str]
    repair: str = ""


@dataclass
class Report:
    """The report. Lines for people go to `progress`, and JSON for programs goes to `output`."""

    task: str
    output: TextIO = field(default_factory=lambda: sys.stdout)
    progress: TextIO = field(default_factory=lambda: sys.stderr)
    clock: Callable[[], float] = time.time
    counts: Counter[str] = field(default_factory=Counter)
    damage: list[Damage] = field(default_factory=list)
    started: float = 0

    def __post_init__(self) -> None:
        self.started = self.clock()

    def say(self, text: str) -> None:
        """Print a line of progress."""
        print(f"{self.task}: {text}", file=self.progress, flush=True)

    def record(self, event: str, **fields: Any) -> None:
        """Print one JSON object."""
        print(json.dumps({"event": event, **fields}), file=self.output, flush=True)

    def add_damage(self, damage: Damage, *, needs_push: bool = False) -> None:
        """Report damage. If it needs a push, it is not counted as repaired, though its file was moved aside."""
        self.counts["damaged"] += 1
        self.counts["repaired"] += bool(damage.repair) and not needs_push
        if len(self.damage) < MOST_DAMAGE:
            self.damage.append(damage)
            self.record("damage", **vars(damage))

    def summary(self, **more: Any) -> dict[str, Any]:
        """Return the summary: counts, seconds, and the damage."""
        return {
            "event": "summary",
            "task": self.task,
            **more,
            "seconds": round(self.clock() - self.started, 1),
            **self.counts,
            "damage": [vars(damage) for damage in self.damage],
        }

    def finish(self, termination_log: Path | None, **more: Any) -> dict[str, Any]:
        """Print and return the summary. Write it to the termination message too, shortened to its limit."""
        summary = self.summary(**more)
        self.record(**summary)
        if termination_log is not None:
            termination_log.write_text(shorten(summary))
        return summary


def shorten(summary: dict[str, Any]) -> str:
    """Return the summary as JSON that fits into a termination message, with less of the damage if necessary.

    A summary that is too long without any damage, by its error, is cut off and no longer valid JSON.
    """
    damage = list(summary["damage"])
    while len(text := json.dumps({**summary, "damage": damage})) > SUMMARY_BYTES and damage:
        damage = damage[: len(damage) * 3 // 4]
    return text[:SUMMARY_BYTES]
