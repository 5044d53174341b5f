"""Retention: the tags to remove, and why."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DAY_SECONDS = 24 * 3600

FALLBACK_TAG = re.compile(r"sha256-.*")
"""Tag of signatures and other artifacts about an image (OCI distribution specification, referrers tag schema)."""


@dataclass(frozen=True)
class Rule:
    """A rule for tags. It keeps the `keep` newest tags that it matches, and those of the last `keep_days` days.

    `repositories` and `tags` are regular expressions.
    """

    repositories: Sequence[str]
    tags: Sequence[str]
    keep: int | None
    keep_days: int | None

    def matches_repository(self, repository: str) -> bool:
        """Return whether the rule is for a repository."""
        return any(re.fullmatch(pattern, repository, re.ASCII) for pattern in self.repositories)

    def matches_tag(self, tag: str) -> bool:
        """Return whether the rule is for a tag."""
        return any(re.fullmatch(pattern, tag, re.ASCII) for pattern in self.tags)

    def __str__(self) -> str:
        """Return the tags that the rule keeps, in words."""
        kept = [
            *([f"the {self.keep} newest"] if self.keep is not None else []),
            *([f"those of the last {self.keep_days} days"] if self.keep_days is not None else []),
        ]
        return " and ".join(kept)


def parse_rules(settings: Sequence[Mapping[str, Any]]) -> list[Rule]:
    """Return the rules of the settings."""
    return [Rule(rule["repositories"], rule["tags"], rule.get("keep"), rule.get("keep_days")) for rule in settings]


def choose_tags(repository: str, tags: Mapping[str, float], rules: Sequence[Rule], now: float) -> dict[str, str]:
    """Return the tags of a repository to remove, each with the reason.

    A tag is removed if at least one rule matches it, and no matching rule keeps it. `tags` has the POSIX time of each
    tag, and `now` is that of the run. Fallback tags stay.
    """
    reasons: dict[str, str] = {}
    kept = {tag for tag in tags if FALLBACK_TAG.fullmatch(tag)}
    for position, rule in enumerate(rules):
        if not rule.matches_repository(repository):
            continue
        matching = [tag for tag in tags if rule.matches_tag(tag)]
        newest_first = sorted(matching, key=lambda tag: (-tags[tag], tag))
        for number, tag in enumerate(newest_first, 1):
            days = (now - tags[tag]) / DAY_SECONDS
            if (rule.keep is not None and number <= rule.keep) or (
                rule.keep_days is not None and days < rule.keep_days
            ):
                kept.add(tag)
            else:
                place = f"number {number} of {len(matching)}, {max(days, 0):.0f} days old"
                reasons.setdefault(tag, f"retention[{position}] keeps {rule}. This tag is {place}.")
    return {tag: reason for tag, reason in reasons.items() if tag not in kept}
