"""The rules of retention, alone and in a collection, which is compared with a simple model."""

import io
import json
from random import Random
from typing import Any

import pytest

from registry.maintenance.job.collect import CollectOptions, Collector
from registry.maintenance.job.layout import data_path, read_inventory
from registry.maintenance.job.report import Report
from registry.maintenance.job.retention import Rule, choose_tags, parse_rules
from tests.registry_model import DAY, MemoryStorage, Registry, digest_of, index_of

ALL = [".*"]


def choose(rules: list[Rule], tags: dict[str, float], repository: str = "team/web") -> list[str]:
    """Return the tags that are removed. `tags` has the age of each tag in days."""
    now = 10_000 * DAY
    return sorted(choose_tags(repository, {tag: now - days * DAY for tag, days in tags.items()}, rules, now))


@pytest.mark.parametrize(
    ("rules", "tags", "expected"),
    [
        ([], {"a": 100}, []),
        ([Rule(ALL, ALL, 2, None)], {"a": 3, "b": 2, "c": 1}, ["a"]),
        ([Rule(ALL, ALL, None, 30)], {"a": 29, "b": 31}, ["b"]),
        ([Rule(ALL, ALL, 1, 30)], {"a": 29, "b": 31, "c": 1}, ["b"]),
        ([Rule(ALL, ALL, 0, None)], {"a": 1}, ["a"]),
        ([Rule(ALL, ["pr-.*"], 1, None)], {"pr-1": 2, "pr-2": 1, "v1": 99}, ["pr-1"]),
        ([Rule(["team/.*"], ALL, 0, None), Rule(ALL, ["v.*"], 5, None)], {"pr-1": 1, "v1": 99}, ["pr-1"]),
        ([Rule(["other"], ALL, 0, None)], {"a": 99}, []),
        ([Rule(["team"], ALL, 0, None)], {"a": 99}, []),
        ([Rule(ALL, ALL, 0, None)], {"sha256-abc": 99, "sha256-abc.sig": 99, "a": 1}, ["a"]),
        ([Rule(ALL, ALL, 1, None)], {"b": 5, "a": 5}, ["b"]),
        ([Rule(ALL, ["v1\\..*"], 0, None)], {"v1.0": 1, "v10": 1}, ["v1.0"]),
    ],
    ids=[
        *("no rule", "the newest stay", "young tags stay", "the newest and young tags stay", "none stays"),
        *("other tags stay", "one of two rules keeps a tag", "another repository", "a part of the repository's name"),
        *("signatures stay", "the names decide at the same age", "a dot is a dot"),
    ],
)
def test_a_tag_goes_if_a_rule_matches_it_and_none_keeps_it(
    rules: list[Rule], tags: dict[str, float], expected: list[str]
) -> None:
    assert choose(rules, tags) == expected


def test_the_reason_names_the_rule_and_the_place_of_the_tag() -> None:
    rules = parse_rules(
        [{"repositories": ["x"], "tags": ALL, "keep": 1}, {"repositories": ALL, "tags": ALL, "keep": 1, "keep_days": 7}]
    )
    reasons = choose_tags("team/web", {"a": 0.0, "b": DAY}, rules, 10 * DAY)
    text = "retention[1] keeps the 1 newest and those of the last 7 days. This tag is number 2 of 2, 10 days old."
    assert reasons == {"a": text}


def draw_rule(order: Random) -> Rule:
    keep, days = order.choice([(1, None), (3, None), (None, 5), (2, 10), (0, None)])
    repositories = order.sample(["r[0-9]*", "r.*", "r1.*", ".*5"], order.randint(1, 2))
    return Rule(repositories, order.sample(["v.*", "pr-.*", ".*", "v[0-9]"], order.randint(1, 2)), keep, days)


def is_kept(tag: str, tags: dict[str, float], rules: list[Rule], repository: str) -> bool:
    """Return whether the model keeps a tag. `tags` has the age of each tag in days."""
    matching = [rule for rule in rules if rule.matches_repository(repository) and rule.matches_tag(tag)]
    if not matching or tag.startswith("sha256-"):
        return True
    for rule in matching:
        newer = [other for other in tags if rule.matches_tag(other) and (tags[other], other) < (tags[tag], tag)]
        if (rule.keep is not None and len(newer) < rule.keep) or (
            rule.keep_days is not None and tags[tag] < rule.keep_days
        ):
            return True
    return False


@pytest.mark.parametrize("seed", range(5))
def test_100_repositories_keep_what_a_simple_model_keeps(seed: int) -> None:
    """Each of five seeds has other rules, and 20 repositories with images, indexes, shared layers and signatures."""
    order = Random(seed)
    storage = MemoryStorage(keeps_times=order.random() < 0.5)
    registry = Registry(storage)
    ages: dict[str, dict[str, float]] = {}
    for number in range(20):
        name = f"r{number}"
        for count in range(order.randint(1, 12)):
            tag = order.choice([f"v{count}", f"pr-{count}", "latest", f"sha256-{count}"])
            age = count + order.random()
            layers = [b"config", b"%d" % order.randrange(8), b"%s %d" % (name.encode(), count)]
            digest = registry.push(name, "", layers, age * DAY)
            if order.random() < 0.3:
                other = registry.push(name, "", [b"config", b"arm64 %d" % count], age * DAY)
                registry.push_bytes(name, tag, index_of([digest, other]), age * DAY)
            else:
                registry.push(name, tag, layers, age * DAY)
            ages.setdefault(name, {})[tag] = age
    rules = [draw_rule(order) for _ in range(order.randint(1, 4))]
    report = Report("collect", io.StringIO(), io.StringIO())
    Collector(storage, CollectOptions(rules, delete_untagged=True), report, lambda _: None).run()
    inventory = read_inventory(storage)
    needed: set[str] = set()
    for name, tags in ages.items():
        kept = {tag for tag in tags if is_kept(tag, tags, rules, name)}
        remaining = inventory.repositories[name].tags.keys() if name in inventory.repositories else set()
        assert kept == remaining, name
        for tag in kept:
            assert registry.missing(name, registry.accepted[name, tag]) == []
            needed |= digests_of_image(storage, registry.accepted[name, tag])
    assert inventory.blobs.keys() == needed, "No other blob takes space."


def digests_of_image(storage: MemoryStorage, digest: str) -> set[str]:
    """Return the digests of a manifest, of its config and layers, and of the manifests that it lists."""
    fields: dict[str, Any] = json.loads(storage.files[data_path(digest)][0])
    children = (digests_of_image(storage, child["digest"]) for child in fields.get("manifests", []))
    parts = {
        part["digest"] for part in [*fields.get("layers", []), *([fields["config"]] if "config" in fields else [])]
    }
    assert digest_of(storage.files[data_path(digest)][0]) == digest
    return {digest, *parts}.union(*children)
