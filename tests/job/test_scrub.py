"""Scrub: it reports each kind of damage and no good file, and a run continues where the last one ended."""

import io
import json
from typing import Any

import pytest

from registry.maintenance.job.layout import LAYER, MANIFEST, TAG, Link, data_path
from registry.maintenance.job.report import SUMMARY_BYTES, Damage, Report, shorten
from registry.maintenance.job.scrub import PARTS, STATE, Scrubber, ScrubOptions, State, due_parts, parse_state
from tests.conftest import SOAK
from tests.registry_model import DAY, MemoryStorage, Registry, digest_of, finish, index_of

GOOD_BLOBS = 10_000 if SOAK else 1_000


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def registry(storage: MemoryStorage) -> Registry:
    registry = Registry(storage)
    registry.push("team/web", "1", [b"config", b"the layer"], age=DAY)
    registry.push("team/web", "2", [b"config", b"the layer", b"more"], age=DAY)
    registry.push("other", "1", [b"config", b"shared"], age=DAY)
    return registry


def scrub(storage: MemoryStorage, **options: Any) -> tuple[bool, list[Damage], Report]:
    report = Report("scrub", io.StringIO(), io.StringIO())
    is_whole = Scrubber(storage, ScrubOptions(**options), report).run()
    return is_whole, report.damage, report


def damage(storage: MemoryStorage, path: str, kind: str) -> None:
    """Damage a file as a disk or a crash does, which does not change its time."""
    content, modified = storage.files.pop(path)
    changed = {"flipped": bytes([content[0] ^ 1]) + content[1:], "halved": content[: len(content) // 2], "emptied": b""}
    if kind != "deleted":
        storage.files[path] = changed[kind], modified


LAYER_DIGEST = digest_of(b"the layer")
LAYER_DATA = data_path(LAYER_DIGEST)
LAYER_LINK = Link("team/web", LAYER, LAYER_DIGEST).path
BOTH = ["team/web:1", "team/web:2"]
NO_MATCH = "the bytes do not match the digest"


def path_of(registry: Registry, what: str) -> str:
    manifest = registry.accepted["team/web", "1"]
    return {
        "layer": LAYER_DATA,
        "manifest": data_path(manifest),
        "layer link": LAYER_LINK,
        "manifest link": Link("team/web", MANIFEST, manifest).path,
        "tag link": Link("team/web", TAG, tag="1").path,
    }[what]


KINDS = [
    ("layer", "flipped", "blob", NO_MATCH, BOTH),
    ("layer", "emptied", "blob", NO_MATCH, BOTH),
    ("layer", "halved", "blob", NO_MATCH, BOTH),
    ("manifest", "flipped", "manifest", NO_MATCH, BOTH[:1]),
    ("layer", "deleted", "blob", "the data is missing", BOTH),
    ("layer link", "emptied", "layer link", "the link is empty", BOTH),
    ("tag link", "emptied", "tag link", "the link is empty", BOTH[:1]),
    ("manifest link", "emptied", "manifest link", "the link is empty", BOTH[:1]),
    ("manifest", "deleted", "manifest", "the data is missing", BOTH[:1]),
    ("layer link", "deleted", "layer link", "the link is missing", BOTH),
    ("manifest link", "deleted", "manifest link", "the link is missing", BOTH[:1]),
    ("layer link", "flipped", "layer link", "the link has another digest", BOTH),
]
"""The damaged file, the change, and the reported file, damage and images. A flipped link names an unknown digest."""


@pytest.mark.parametrize(("what", "change", "file", "kind", "images"), KINDS)
def test_damage_is_named_with_its_images_and_is_healed_by_a_push(
    storage: MemoryStorage, registry: Registry, what: str, change: str, file: str, kind: str, images: list[str]
) -> None:
    damage(storage, path_of(registry, what), change)
    before = dict(storage.files)
    is_whole, found, _ = scrub(storage)
    assert [(each.what, each.kind, each.images, each.repair) for each in found] == [(file, kind, images, "")]
    assert not is_whole
    assert before.items() <= storage.files.items(), "Without `heal` no file is changed."
    is_whole, found, _ = scrub(storage, heal=True, everything=True)
    is_link = file.endswith("link")
    assert is_whole == is_link
    assert [bool(each.repair) for each in found] == [is_link or change != "deleted"]
    if not is_link:
        assert registry.broken(), "The bytes are lost until a client pushes them."
    registry.push("team/web", "1", [b"config", b"the layer"])
    registry.push("team/web", "2", [b"config", b"the layer", b"more"])
    assert registry.broken() == {}
    assert scrub(storage, everything=True)[:2] == (True, [])


def test_damage_of_a_shared_layer_names_the_images_of_all_repositories(
    storage: MemoryStorage, registry: Registry
) -> None:
    damage(storage, data_path(digest_of(b"config")), "flipped")
    _, (found,), _ = scrub(storage)
    assert found.images == ["other:1", *BOTH]


def test_a_manifest_without_a_tag_is_named_by_its_repository_and_an_index_by_its_tag(
    storage: MemoryStorage, registry: Registry
) -> None:
    child = registry.push("multi", "", [b"config", b"amd64"])
    damage(storage, data_path(digest_of(b"amd64")), "deleted")
    _, (found,), _ = scrub(storage)
    assert found.images == ["multi"]
    registry.push_bytes("multi", "1", index_of([child]))
    _, (found,), _ = scrub(storage)
    assert found.images == ["multi:1"]


def test_good_files_are_not_reported(storage: MemoryStorage, registry: Registry) -> None:
    for number in range(GOOD_BLOBS // 4):
        layers = [b"config %d" % number, b"layer %d" % number, b"%d" % number]
        registry.push(f"team/r{number % 97}", f"v{number}", layers, age=DAY)
    finish(registry.push_blob("team/web", b"pushed without a manifest"))
    foreign = [{"digest": digest_of(b"elsewhere"), "urls": ["https://example.com"]}]
    registry.push("windows", "1", [b"config"], foreign=foreign)
    is_whole, found, report = scrub(storage)
    assert (is_whole, found) == (True, [])
    assert report.counts["blobs_checked"] >= GOOD_BLOBS


def test_a_layer_with_a_url_elsewhere_is_not_missing(storage: MemoryStorage, registry: Registry) -> None:
    layer = {"digest": digest_of(b"elsewhere"), "urls": ["https://example.com"]}
    config = digest_of(b"config")
    manifest = json.dumps({"config": {"digest": config}, "layers": [layer]}).encode()
    storage.put(data_path(digest_of(manifest)), manifest)
    storage.put(Link("team/web", MANIFEST, digest_of(manifest)).path, digest_of(manifest).encode())
    assert scrub(storage)[1] == []


def test_the_first_run_checks_all_blobs_and_a_later_one_new_blobs_and_a_share_of_the_others(
    storage: MemoryStorage, registry: Registry
) -> None:
    for number in range(300):
        finish(registry.push_blob("team/web", b"%d" % number, age=DAY))
    assert scrub(storage)[2].counts["parts_checked"] == 256
    storage.now += DAY
    finish(registry.push_blob("team/web", b"new"))
    _, _, report = scrub(storage, days=32)
    assert report.counts["parts_checked"] in (8, 9), "32 days have 32 runs, for 256 parts."
    assert 1 <= report.counts["blobs_checked"] < 40


def test_every_part_is_checked_once_in_the_days_whatever_the_interval(storage: MemoryStorage) -> None:
    for hours in (6, 24, 24 * 7):
        storage.files.clear()
        scrub(storage)
        start = storage.now
        while storage.now < start + 30 * DAY:
            storage.now += hours * 3600
            scrub(storage, days=30)
        state = parse_state(storage.files[STATE][0])
        assert min(state.full.values()) > start, hours


def test_the_run_after_a_killed_run_continues_where_that_was(storage: MemoryStorage, registry: Registry) -> None:
    for number in range(300):
        finish(registry.push_blob("team/web", b"%d" % number, age=DAY))
    saved = 0

    class KilledError(Exception):
        """The job was killed."""

    class Killed(Scrubber):
        def _save(self, state: State) -> None:
            nonlocal saved
            super()._save(state)
            saved += 1
            if saved == 100:
                raise KilledError

    with pytest.raises(KilledError):
        Killed(storage, ScrubOptions(), Report("scrub", io.StringIO(), io.StringIO())).run()
    report = scrub(storage)[2]
    assert report.counts["parts_checked"] == 156
    assert report.counts["blobs_checked"] < 250


@pytest.mark.parametrize("content", [b"", b"[]", b'{"full": 3}', b'{"last_run": "x", "full": {}, "new": {}}'])
def test_all_parts_are_due_if_the_state_is_damaged(content: bytes) -> None:
    assert due_parts(parse_state(content), 10 * DAY, 30) == list(PARTS)


def test_an_image_that_is_removed_during_the_run_is_not_reported(storage: MemoryStorage, registry: Registry) -> None:
    manifest = registry.accepted["team/web", "1"]
    paths = [
        data_path(digest_of(b"more")),
        *(path for path in storage.files if "tags/2" in path),
        Link("team/web", MANIFEST, registry.accepted["team/web", "2"]).path,
    ]
    assert manifest not in paths
    count = 0

    def delete_everything_of_tag_2() -> None:
        nonlocal count
        count += 1
        if count == 20:
            for path in paths:
                storage.files.pop(path, None)

    storage.before_each = delete_everything_of_tag_2
    assert scrub(storage)[1] == []
    assert count > 20


def test_a_summary_fits_into_the_termination_message() -> None:
    damage = [vars(Damage("blob", NO_MATCH, f"sha256:{number:064}", ["team/web:1"] * 5)) for number in range(100)]
    text = shorten({"event": "summary", "damaged": 100, "damage": damage})
    assert len(text) <= SUMMARY_BYTES
    assert json.loads(text)["damaged"] == 100
    assert json.loads(text)["damage"]
