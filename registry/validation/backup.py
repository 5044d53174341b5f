"""Rules for the backup: its schedule and its place, and the credentials for it."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from .access_rules import NAME
from .basics import text
from .errors import InvalidInput, quoted
from .maintenance import duration_seconds, map_fields, schedule
from .names import object_name
from .servers import bucket_not_in_endpoint, region_of_endpoint, s3_endpoint, server_url
from .storage import s3_bucket, s3_prefix, s3_region
from .workload import mirror_username

IMAGE = "ghcr.io/regclient/regsync:v0.11.7-alpine"

TIMEOUT = "12h"
"""Longest time of a backup. The next backup copies the remaining images."""

FIELDS = ("schedule", "to", "timeout")
KINDS = ("claim", "s3", "registry")
"""Kinds of places for a backup."""

BUCKET_FIELDS = ("bucket", "region", "endpoint", "prefix")
REGISTRY_FIELDS = ("url", "prefix")

EXAMPLE = "For example {schedule: '30 1 * * *', to: {s3: {bucket: team-backup}}}"
EXAMPLE_PLACE = "For example {s3: {bucket: team-backup}}"
EXAMPLE_BUCKET = "For example {bucket: team-backup}"
EXAMPLE_REGISTRY = "For example {url: https://registry.example.com}"

LONGEST_PREFIX = 128
"""Characters of the prefix. Names of repositories may have 255 in all (CNCF Distribution)."""


def backup(value: Mapping[str, Any]) -> dict[str, Any]:
    """Require a schedule and one place, and optionally a timeout."""
    fields = map_fields("backup", value, FIELDS, EXAMPLE)
    fields["schedule"] = schedule("backup.schedule", fields.get("schedule"))
    if fields.get("to") is None:
        raise InvalidInput("backup.to", "missing", f"is missing, one of {', '.join(KINDS)}", EXAMPLE_PLACE)
    fields["to"] = _place(fields["to"])
    if "timeout" in fields:
        duration_seconds("backup.timeout", fields["timeout"])
    return fields


def _place(value: object) -> dict[str, Any]:
    """Require exactly one kind of place."""
    key = "backup.to"
    place = map_fields(key, value, KINDS, EXAMPLE_PLACE)
    if len(place) != 1:
        problem = f"must have one of {', '.join(KINDS)}, not {' and '.join(place) or 'an empty map'}"
        raise InvalidInput(key, "not-one-place", problem, EXAMPLE_PLACE)
    ((kind, content),) = place.items()
    rules: dict[str, Callable[[Any], Any]] = {
        "claim": partial(object_name, f"{key}.claim"),
        "s3": _bucket,
        "registry": _registry,
    }
    return {kind: rules[kind](content)}


def _bucket(value: object) -> dict[str, str]:
    key = "backup.to.s3"
    bucket = map_fields(key, value, BUCKET_FIELDS, EXAMPLE_BUCKET)
    if bucket.get("bucket") is None:
        raise InvalidInput(f"{key}.bucket", "missing", "is missing", "For example 'team-backup'")
    rules = {"bucket": s3_bucket, "region": s3_region, "endpoint": s3_endpoint, "prefix": s3_prefix}
    accepted = {
        "region": "us-east-1",
        **{name: rules[name](item, key=f"{key}.{name}") for name, item in bucket.items()},
    }
    if "endpoint" in accepted:
        bucket_not_in_endpoint(accepted["endpoint"], accepted["bucket"], prefix=f"{key}.")
        region_of_endpoint(accepted["endpoint"], accepted["region"], prefix=f"{key}.")
    return accepted


def _registry(value: object) -> dict[str, str]:
    key, example = "backup.to.registry", "https://registry.example.com"
    registry = map_fields(key, value, REGISTRY_FIELDS, EXAMPLE_REGISTRY)
    if registry.get("url") is None:
        raise InvalidInput(f"{key}.url", "missing", "is missing", f"For example {example!r}")
    registry["url"] = server_url(f"{key}.url", registry["url"], example)
    if "prefix" in registry:
        prefix = text(f"{key}.prefix", registry["prefix"], "site-a")
        if not re.fullmatch(NAME, prefix, re.ASCII) or len(prefix) > LONGEST_PREFIX:
            problem = f"must be the beginning of a repository such as a/b, not {quoted(prefix)}"
            raise InvalidInput(f"{key}.prefix", "not-a-repository", problem, "For example 'site-a'")
    return registry


def user(value: str) -> str:
    """Require the user of the other registry, or the id of an access key."""
    return mirror_username(value, key="backup_user")
