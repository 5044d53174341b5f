"""Rules for the maintenance jobs: schedules, retention, and the storages that they can work on."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from .access import check_glob
from .access_rules import pattern_of
from .basics import did_you_mean, flag, rule_list, text, texts, whole_number
from .errors import InvalidInput, quoted
from .schedules import FIELDS, parse_schedule

IMAGE = "python:3.14.2-alpine"

TIMEOUT = "6h"

SCRUB_DAYS = 30

COLLECT_FIELDS = ("schedule", "delete_untagged", "timeout")
SCRUB_FIELDS = ("schedule", "days", "heal")
RULE_FIELDS = ("repositories", "tags", "keep", "keep_days")

EXAMPLE_SCHEDULE = "For example '30 2 * * *' for every night at 02:30 UTC"
EXAMPLE_RULE = "For example [{repositories: ['**'], tags: [pr-*], keep_days: 30}]"

DURATION = re.compile(r"(?:(?P<h>[0-9]{1,3})h)?(?:(?P<m>[0-9]{1,4})m)?", re.ASCII)
"""A duration in hours and minutes, such as 1h30m."""

SHORTEST, LONGEST = 5 * 60, 7 * 24 * 3600
"""Seconds of the shortest and the longest time for a collection, which waits for two minutes."""

LONGEST_TAG = 128
"""Characters of a tag (OCI distribution specification)."""


def collect(value: Mapping[str, Any]) -> dict[str, Any]:
    """Require a schedule, and optionally `delete_untagged` and a timeout."""
    fields = map_fields("collect", value, COLLECT_FIELDS)
    fields["schedule"] = schedule("collect.schedule", fields.get("schedule"))
    if "delete_untagged" in fields:
        fields["delete_untagged"] = flag("collect.delete_untagged", fields["delete_untagged"])
    if "timeout" in fields:
        duration_seconds("collect.timeout", fields["timeout"])
    return fields


def scrub(value: Mapping[str, Any]) -> dict[str, Any]:
    """Require a schedule, and optionally `days` and `heal`."""
    fields = map_fields("scrub", value, SCRUB_FIELDS)
    fields["schedule"] = schedule("scrub.schedule", fields.get("schedule"))
    if "days" in fields:
        remedy = f"For example {SCRUB_DAYS}, which reads every blob once a month"
        fields["days"] = whole_number("scrub.days", fields["days"], 1, 365, "a whole number of days", remedy)
    if "heal" in fields:
        fields["heal"] = flag("scrub.heal", fields["heal"])
    return fields


def schedule(key: str, value: object) -> str:
    """Return five fields of cron with one space between them. Refuse a schedule that is never due."""
    if value is None:
        raise InvalidInput(key, "missing", "is missing", EXAMPLE_SCHEDULE)
    written = text(key, value, "30 2 * * *")
    if len(written.split()) != len(FIELDS):
        problem = f"must be five fields of cron, {', '.join(field.name for field in FIELDS)}, not {quoted(written)}"
        raise InvalidInput(key, "not-a-schedule", problem, EXAMPLE_SCHEDULE)
    try:
        parsed = parse_schedule(written)
    except ValueError as wrong_field:
        problem = f"has a wrong {wrong_field}: {quoted(written)}"
        raise InvalidInput(key, "not-a-schedule", problem, EXAMPLE_SCHEDULE) from None
    if parsed.next_after(datetime(2026, 1, 1, tzinfo=UTC)) is None:
        raise InvalidInput(key, "never-due", f"is never due: {quoted(written)}", EXAMPLE_SCHEDULE)
    return " ".join(written.split())


def duration_seconds(key: str, value: object) -> int:
    """Return the seconds of a duration such as 90m. Refuse one that is too short or too long for a collection."""
    remedy = "For example '90m' or '6h'"
    written = text(key, value, TIMEOUT)
    match = DURATION.fullmatch(written)
    if not written or match is None:
        raise InvalidInput(key, "not-a-duration", f"must be hours and minutes, not {quoted(written)}", remedy)
    seconds = int(match["h"] or 0) * 3600 + int(match["m"] or 0) * 60
    if not SHORTEST <= seconds <= LONGEST:
        raise InvalidInput(key, "out-of-range", f"must be from 5m to 168h, not {quoted(written)}", remedy)
    return seconds


def retention(value: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Require rules that each name repositories, and the tags to keep in them."""
    items = rule_list("retention", value, EXAMPLE_RULE, "Summarize them by globs")
    return [_rule(f"retention[{position}]", rule) for position, rule in enumerate(items)]


def _rule(key: str, value: Mapping[str, Any]) -> dict[str, Any]:
    fields = map_fields(key, value, RULE_FIELDS)
    if not fields.get("repositories"):
        raise InvalidInput(f"{key}.repositories", "missing", "is missing", EXAMPLE_RULE)
    fields["repositories"] = texts(f"{key}.repositories", fields["repositories"], "team/web")
    for glob in fields["repositories"]:
        check_glob(f"{key}.repositories", glob)
    if "tags" in fields:
        fields["tags"] = texts(f"{key}.tags", fields["tags"], "pr-*")
        for glob in fields["tags"]:
            _check_tag_glob(f"{key}.tags", glob)
        if not fields["tags"]:
            raise InvalidInput(f"{key}.tags", "missing", "names no tag", "Remove it to mean every tag")
    if "keep" not in fields and "keep_days" not in fields:
        problem = "has neither `keep` nor `keep_days`, so every tag would be removed"
        raise InvalidInput(key, "missing", problem, EXAMPLE_RULE)
    for name, most, what in (
        ("keep", 100_000, "a whole number of tags"),
        ("keep_days", 36_500, "a whole number of days"),
    ):
        if name in fields:
            fields[name] = whole_number(f"{key}.{name}", fields[name], 1, most, what, EXAMPLE_RULE)
    return fields


def _check_tag_glob(key: str, glob: str) -> None:
    """Require a tag (OCI distribution specification). `*` stands for any characters."""
    if not re.fullmatch(r"[\w*][\w.*-]*", glob, re.ASCII) or len(glob) > LONGEST_TAG:
        problem = f"must be tags, in which '*' stands for any characters, not {quoted(glob)}"
        raise InvalidInput(key, "not-a-glob", problem, "For example 'pr-*', or '*' for every tag")


def rule_patterns(rules: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rules with regular expressions in place of globs, as the program of the jobs reads them."""
    return [
        {
            **rule,
            "repositories": [pattern_of(glob) for glob in rule["repositories"]],
            "tags": [re.escape(glob).replace(r"\*", ".*") for glob in rule.get("tags", ["*"])],
        }
        for rule in rules
    ]


def untagged_advice(value: Mapping[str, Any]) -> str:
    """Return a warning if `collect` removes images that clients may still name by their digest, else ""."""
    if not value.get("delete_untagged"):
        return ""
    return (
        "`collect.delete_untagged` deletes every image without a tag, also if a Pod or a lock file names it by its "
        "digest. Give such images a tag."
    )


def refuse_claim_of_one_pod(access_modes: Sequence[str]) -> None:
    """Refuse jobs on an existing claim that only one Pod can mount. That is the Pod of the registry."""
    if access_modes and set(access_modes) == {"ReadWriteOncePod"}:
        problem = "is a claim that only one Pod can mount (ReadWriteOncePod), but `collect` and `scrub` run in others"
        remedy = "Use a claim that is ReadWriteOnce, or remove `collect` and `scrub`"
        raise InvalidInput("storage_claim", "claim-of-one-pod", problem, remedy)


def map_fields(key: str, value: object, fields: Sequence[str], example: str = "") -> dict[str, Any]:
    """Require a map with known fields, without those that are not set. `example` is the remedy for another type."""
    if not isinstance(value, Mapping):
        problem = f"must be a map with {', '.join(fields)}, not {quoted(value)}"
        example = example or (
            EXAMPLE_RULE
            if key.startswith("retention")
            else f"Run `pulumi config set --path {key}.schedule '30 2 * * *'`"
        )
        raise InvalidInput(key, "not-a-map", problem, example)
    for field in value:
        if field not in fields:
            remedy = did_you_mean(str(field), fields)
            problem = f"has the field {quoted(field)}, but only {', '.join(fields)} exist"
            raise InvalidInput(key, "unknown-key", problem, remedy or "Remove it")
    return {field: item for field, item in value.items() if item is not None}
