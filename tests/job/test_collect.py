"""The collector removes garbage and the tags that no rule keeps. No order of the steps breaks an accepted image."""

import errno
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from registry.maintenance.job.collect import CollectOptions, Collector
from registry.maintenance.job.layout import (
    LAYER,
    MANIFEST,
    TAG,
    Link,
    Stamp,
    data_path,
    read_inventory,
)
from registry.maintenance.job.report import Report
from registry.maintenance.job.retention import Rule
from registry.maintenance.job.storage import FolderStorage
from registry.maintenance.job.survey import Survey
from registry.maintenance.job.trash import TRASH
from tests.conftest import SOAK
from tests.registry_model import (
    DAY,
    MemoryStorage,
    RefusedError,
    Registry,
    Steps,
    digest_of,
    finish,
    index_of,
    manifest_of,
)

KEEP_ONE = Rule([".*"], [".*"], keep=1, keep_days=None)

ORDERS = 20_000 if SOAK else 400
"""Orders of steps that are drawn."""


@pytest.fixture(params=[True, False], ids=["folder", "s3"])
def storage(request: pytest.FixtureRequest) -> MemoryStorage:
    return MemoryStorage(keeps_times=request.param)


@pytest.fixture
def registry(storage: MemoryStorage) -> Registry:
    return Registry(storage)


def run(
    storage: Any,
    sleep: Callable[[float], None] = lambda _: None,
    collector: type[Collector] = Collector,
    **options: Any,
) -> Report:
    """Collect, and return the report."""
    report = Report("collect", io.StringIO(), io.StringIO())
    running = collector(storage, CollectOptions(**options), report, sleep)
    running._clock = lambda: 1.0  # on a slow machine, a real clock would cause other steps than on a fast one
    running.run()
    return report


def events(report: Report, event: str) -> list[dict[str, Any]]:
    """Return the lines of a kind that the report printed."""
    assert isinstance(report.output, io.StringIO)
    lines = (json.loads(line) for line in report.output.getvalue().splitlines())
    return [line for line in lines if line["event"] == event]


def snapshot(storage: MemoryStorage) -> dict[str, bytes]:
    """Return the registry's own files."""
    return {path: content for path, (content, _) in storage.files.items() if path.startswith("docker/")}


def test_a_layer_that_no_manifest_needs_goes_with_its_links(storage: MemoryStorage, registry: Registry) -> None:
    kept = registry.push("team/web", "1", [b"config", b"shared"], age=DAY)
    finish(registry.push_blob("team/web", b"unused", age=DAY))
    finish(registry.push_blob("other", b"unused", age=DAY))
    before = snapshot(storage)
    report = run(storage)
    gone = before.keys() - snapshot(storage).keys()
    digest = digest_of(b"unused")
    assert gone == {data_path(digest), Link("team/web", LAYER, digest).path, Link("other", LAYER, digest).path}
    assert (report.counts["blobs_removed"], report.counts["bytes_freed"]) == (1, len(b"unused") + 2 * len(digest))
    assert registry.missing("team/web", kept) == []
    assert [path for path in storage.files if path.startswith(TRASH)] == []


def test_files_without_use_stay_while_they_are_new(storage: MemoryStorage, registry: Registry) -> None:
    finish(registry.push_blob("team/web", b"being pushed", age=3600))
    finish(registry.push_blob("team/web", b"mounted", age=DAY))
    finish(registry.push_blob("other", b"mounted", age=3600))
    before = snapshot(storage)
    run(storage)
    assert snapshot(storage) == before


def test_untagged_manifests_stay_unless_delete_untagged_is_set(storage: MemoryStorage, registry: Registry) -> None:
    old = registry.push("web", "1", [b"config", b"old"], age=2 * DAY)
    registry.push("web", "1", [b"config", b"new"], age=DAY)
    run(storage)
    assert registry.missing("web", old) == []
    report = run(storage, delete_untagged=True)
    assert registry.missing("web", old) == [f"manifest {old}"]
    assert data_path(digest_of(b"old")) not in storage.files
    assert [(item["digest"], item["reason"]) for item in events(report, "removed")] == [(old, "no tag needs it")]
    assert registry.broken() == {}


def test_a_manifest_that_just_lost_its_tag_stays(storage: MemoryStorage, registry: Registry) -> None:
    old = registry.push("web", "1", [b"config", b"old"], age=2 * DAY)
    registry.push("web", "1", [b"config", b"new"], age=60)
    run(storage, delete_untagged=True)
    assert registry.missing("web", old) == [], "A client may have its manifest, and pull its layers."


def test_an_index_keeps_its_manifests_and_an_image_its_signatures(storage: MemoryStorage, registry: Registry) -> None:
    children = [registry.push("web", "", [b"config", each], age=DAY) for each in (b"amd64", b"arm64")]
    index = registry.push_bytes("web", "1", index_of(children), age=DAY)
    signature = registry.push("web", "", [b"c", b"signed"], age=DAY, subject={"digest": index})
    orphan = registry.push("web", "", [b"c", b"orphan"], age=DAY, subject={"digest": digest_of(b"gone")})
    run(storage, delete_untagged=True)
    assert registry.missing("web", index) == registry.missing("web", signature) == []
    assert registry.missing("web", orphan) == [f"manifest {orphan}"]


def test_a_tagged_signature_does_not_keep_the_image_that_it_describes(
    storage: MemoryStorage, registry: Registry
) -> None:
    image = registry.push("web", "1", [b"config", b"image"], age=3 * DAY)
    signature = registry.push("web", f"sha256-{image[7:]}", [b"c", b"s"], age=3 * DAY, subject={"digest": image})
    registry.push("web", "2", [b"config", b"other"], age=DAY)
    run(storage, rules=[KEEP_ONE])
    assert registry.missing("web", image) == [f"manifest {image}"]
    assert registry.missing("web", signature) == []


def test_a_tag_goes_with_everything_that_it_alone_needs(storage: MemoryStorage, registry: Registry) -> None:
    for number in range(3):
        registry.push("web", f"v{number}", [b"config", b"shared", b"layer %d" % number], age=(9 - number) * DAY)
    report = run(storage, rules=[KEEP_ONE])
    inventory = read_inventory(storage)
    assert [*inventory.repositories["web"].tags] == ["v2"]
    assert [*inventory.repositories["web"].history] == ["v2"], "The registry lists the folders of tags."
    assert len(inventory.blobs) == 4
    reasons = {item["tag"]: item["reason"] for item in events(report, "removed") if item["kind"] == "tag"}
    assert reasons == {
        "v0": "retention[0] keeps the 1 newest. This tag is number 3 of 3, 9 days old.",
        "v1": "retention[0] keeps the 1 newest. This tag is number 2 of 3, 8 days old.",
    }
    assert report.counts["manifests_removed"] == 2


def test_an_image_with_another_tag_stays(storage: MemoryStorage, registry: Registry) -> None:
    image = registry.push("web", "old", [b"config", b"layer"], age=9 * DAY)
    registry.push("web", "latest", [b"config", b"layer"], age=DAY)
    run(storage, rules=[KEEP_ONE])
    assert registry.missing("web", image) == []
    assert [*read_inventory(storage).repositories["web"].tags] == ["latest"]


def test_a_tag_stays_while_its_manifest_is_new(storage: MemoryStorage, registry: Registry) -> None:
    for number in range(3):
        registry.push("web", f"v{number}", [b"config", b"layer %d" % number], age=3600 - number)
    before = snapshot(storage)
    run(storage, rules=[KEEP_ONE])
    assert snapshot(storage) == before
    storage.now += DAY
    run(storage, rules=[KEEP_ONE])
    assert [*read_inventory(storage).repositories["web"].tags] == ["v2"]
    assert len(read_inventory(storage).blobs) == 3


def test_a_prune_frees_no_blob_and_a_later_collection_does(storage: MemoryStorage, registry: Registry) -> None:
    for number in range(2):
        registry.push("web", f"v{number}", [b"config", b"layer %d" % number], age=(9 - number) * DAY)
    report = run(storage, rules=[KEEP_ONE], blobs=False)
    assert (report.counts["tags_removed"], report.counts["manifests_removed"]) == (1, 1)
    assert len(read_inventory(storage).blobs) == 5
    run(storage)
    assert len(read_inventory(storage).blobs) == 3


def test_a_dry_run_reports_the_same_and_changes_nothing(storage: MemoryStorage, registry: Registry) -> None:
    for number in range(5):
        registry.push("web", f"v{number}", [b"config", b"layer %d" % number], age=(9 - number) * DAY)
    finish(registry.push_blob("web", b"unused", age=DAY))
    storage.files[Link("broken", TAG, tag="1").path] = b"", storage.now - DAY
    before = snapshot(storage)
    dry = run(storage, rules=[KEEP_ONE], dry_run=True)
    assert snapshot(storage) == before
    real = run(storage, rules=[KEEP_ONE])
    for count in ("tags_removed", "manifests_removed", "blobs_removed", "damaged"):
        assert dry.counts[count] == real.counts[count] > 0, count
    assert len(events(dry, "would-remove")) == len(events(real, "removed")) == 8


def test_a_partial_link_of_a_killed_registry_goes_after_a_day_and_its_uploads_stay(storage: MemoryStorage) -> None:
    folder = "docker/registry/v2/repositories/web/_layers/sha256/ab"
    partial = f"{folder}/link.{'0' * 8}-1111-2222-3333-{'4' * 12}.tmp"
    upload = f"docker/registry/v2/repositories/web/_uploads/1/startedat.{'0' * 8}-1111-2222-3333-{'4' * 12}.tmp"
    for path in (partial, f"{partial[:-5]}5.tmp", upload):
        storage.put(path, b"x", age=2 * DAY if path != f"{partial[:-5]}5.tmp" else 60)
    run(storage)
    assert partial not in storage.files
    assert {f"{partial[:-5]}5.tmp", upload} <= storage.files.keys()


def test_unfinished_uploads_of_the_store_are_aborted_by_their_age(storage: MemoryStorage) -> None:
    run(storage, upload_hours=3)
    assert storage.now - 3 * 3600 - 1 < storage.aborted_before <= storage.now - 3 * 3600


class TestDamage:
    """One damaged file stops no collection. It is named, and its repository keeps everything."""

    @pytest.fixture(autouse=True)
    def _push(self, storage: MemoryStorage, registry: Registry) -> None:
        for name in ("damaged", "whole"):
            registry.push(name, "1", [b"config", b"layer of " + name.encode()], age=2 * DAY)
            finish(registry.push_blob(name, b"unused of " + name.encode(), age=DAY))

    def collect(self, storage: MemoryStorage) -> list[tuple[str, str, list[str], str]]:
        report = run(storage, delete_untagged=True)
        assert data_path(digest_of(b"unused of whole")) not in storage.files
        assert data_path(digest_of(b"unused of damaged")) in storage.files
        return [(each.what, each.kind, each.images, each.repair) for each in report.damage]

    @pytest.mark.parametrize("kind", [LAYER, MANIFEST, TAG])
    def test_an_empty_link_is_written_again(self, storage: MemoryStorage, registry: Registry, kind: str) -> None:
        digest = digest_of(b"layer of damaged") if kind == LAYER else registry.accepted["damaged", "1"]
        link = Link("damaged", kind, "" if kind == TAG else digest, "1" if kind == TAG else "")
        storage.files[link.path] = b"", storage.now - DAY
        name = f"{kind} link"
        assert self.collect(storage) == [(name, "the link is empty", ["damaged:1"], "the link was written again")]
        assert storage.files[link.path][0].decode() == digest
        assert registry.broken() == {}
        run(storage)
        assert data_path(digest_of(b"unused of damaged")) not in storage.files, "The repository is whole again."

    def test_an_empty_tag_is_moved_aside_if_its_manifest_is_not_certain(
        self, storage: MemoryStorage, registry: Registry
    ) -> None:
        other = registry.push("damaged", "1", [b"config", b"another"], age=2 * DAY)
        path = Link("damaged", TAG, tag="1").path
        storage.files[path] = b"", storage.now - DAY
        repair = "the link was moved aside, so the tag is gone"
        assert self.collect(storage) == [("tag link", "the link is empty", ["damaged:1"], repair)]
        assert path not in storage.files
        assert f"private-registry/damaged/{path}" in storage.files
        assert registry.missing("damaged", other) == []

    @pytest.mark.parametrize("content", [None, b"", b"flipped"])
    def test_a_damaged_manifest_keeps_its_repository(
        self, storage: MemoryStorage, registry: Registry, content: bytes | None
    ) -> None:
        path = data_path(registry.accepted["damaged", "1"])
        modified = storage.files.pop(path)[1]
        if content is not None:
            storage.files[path] = content, modified
        kind = "the data is missing" if content is None else "the bytes do not match the digest"
        assert self.collect(storage) == [("manifest", kind, ["damaged:1"], "")]
        assert data_path(digest_of(b"layer of damaged")) in storage.files


def test_a_folder_is_collected_without_leftovers(tmp_path: Any) -> None:
    memory = MemoryStorage()
    registry = Registry(memory)
    registry.push("team/web", "1", [b"config", b"old"], age=9 * DAY)
    registry.push("team/web", "2", [b"config", b"new"], age=2 * DAY)
    folder = FolderStorage(tmp_path)
    for path, (content, modified) in memory.files.items():
        folder.write(path, content)
        os.utime(tmp_path / path, (modified, modified))
    report = run(folder, rules=[KEEP_ONE])
    assert report.counts["blobs_removed"] == 2
    tags = [each.name for each in (tmp_path / "docker/registry/v2/repositories/team/web/_manifests/tags").iterdir()]
    assert len(tags) == 1
    empty = [each.name for each in tmp_path.rglob("*") if each.is_dir() and not any(each.iterdir())]
    assert [name for name in empty if len(name) > 2] == [], "The 256 folders of the prefixes stay."
    assert not (tmp_path / TRASH).exists()
    assert sorted(each.name for each in (tmp_path / "private-registry").iterdir()) == ["clock", "reserve"]


class FullDisk(FolderStorage):
    """A folder on a disk that is full after `free` more files and folders."""

    def __init__(self, root: Path, free: int) -> None:
        super().__init__(root)
        self.free = free

    def write(self, path: str, content: bytes) -> None:
        self._take(path)
        super().write(path, content)

    def move(self, path: str, target: str) -> None:
        self._take(target, renames=True)
        super().move(path, target)

    def delete(self, path: str) -> None:
        self.free += (self._root / path).exists()
        super().delete(path)

    def _take(self, path: str, *, renames: bool = False) -> None:
        """Fail if the disk has no space for the new folders of a path and for its file, if that is not renamed."""
        parents = [folder for folder in (self._root / path).parents if not folder.exists()]
        needed = len(parents) + (not renames and not (self._root / path).exists())
        if needed > self.free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        self.free -= needed


def test_a_full_disk_is_emptied_with_the_reserve(tmp_path: Path) -> None:
    memory = MemoryStorage()
    registry = Registry(memory)
    for number in range(30):
        finish(registry.push_blob(f"{'long/' * 40}web", b"unused %d" % number, age=DAY))
    disk = FullDisk(tmp_path, 10_000)
    run(disk)
    for path, (content, modified) in memory.files.items():
        disk.write(path, content)
        os.utime(tmp_path / path, (modified, modified))
    (tmp_path / "private-registry/clock").unlink()
    disk.free = 0
    report = run(disk)
    assert report.counts["blobs_removed"] == 30
    assert disk.free > 40
    assert len(list((tmp_path / "private-registry/reserve").iterdir())) == 8


# Interleavings

LAYERS = [b"config", b"reused", b"another"]


class Pushes:
    """Clients that push while the collector works, a step at a time."""

    def __init__(self, registry: Registry, clients: Sequence["Client"]) -> None:
        self.refused = 0
        self._registry = registry
        self._clients = clients
        self._steps = [client(registry) for client in clients]
        self.in_manifest = [False] * len(clients)
        self.ended = [False] * len(clients)

    def step(self, number: int) -> None:
        """Take one step of a client. A refused client begins again, as Docker does."""
        if self.ended[number]:
            return
        try:
            self.in_manifest[number] = next(self._steps[number])
        except StopIteration:
            self.ended[number] = True
        except RefusedError:
            self.refused += 1
            self.in_manifest[number] = False
            self._steps[number] = self._clients[number](self._registry)

    def finish_manifests(self) -> None:
        """Let the registry write all manifests that it has begun to write. The collector waits long enough for that."""
        for number in range(len(self._clients)):
            while self.in_manifest[number]:
                self.step(number)

    def finish(self) -> None:
        """Let all clients end."""
        for number in range(len(self._clients)):
            while not self.ended[number]:
                self.step(number)


def push_image(registry: Registry, tag: str, layers: list[bytes]) -> Steps:
    for layer in layers:
        yield from registry.push_blob("web", layer)
    digests = [digest_of(layer) for layer in layers]
    yield from registry.push_manifest("web", tag, manifest_of(digests[1:], digests[0]))


def push_again(registry: Registry) -> Steps:
    """Push an image whose layers are garbage before the push."""
    return push_image(registry, "again", LAYERS)


def push_deleted(registry: Registry) -> Steps:
    """Push the image of the tag that retention removes, under another name."""
    return push_image(registry, "saved", [b"config 2", b"old"])


def push_same_tag(registry: Registry) -> Steps:
    """Push another image to the tag that retention removes."""
    return push_image(registry, "old", [b"config 2", b"replaced"])


def push_index(registry: Registry) -> Steps:
    """Push an index of a manifest that no tag needs."""
    child = manifest_of([digest_of(b"arm64")], digest_of(b"config 3"))
    for layer in (b"config 3", b"arm64"):
        yield from registry.push_blob("web", layer)
    yield from registry.push_manifest("web", "", child)
    yield from registry.push_manifest("web", "index", index_of([digest_of(child)]))


def push_to_other_repository(registry: Registry) -> Steps:
    """Push an image of garbage to another repository, into which the data is only linked."""
    for layer in LAYERS:
        yield from registry.push_blob("other", layer)
    manifest = manifest_of([digest_of(LAYERS[1])], digest_of(LAYERS[0]))
    yield from registry.push_manifest("other", "mounted", manifest)


Client = Callable[[Registry], Steps]

CLIENTS: list[Client] = [push_again, push_deleted, push_same_tag, push_index, push_to_other_repository]


def prepare(keeps_times: bool) -> Registry:
    """Return a registry with an image that stays, images that the OPTIONS remove, and garbage."""
    storage = MemoryStorage(keeps_times=keeps_times)
    registry = Registry(storage)
    for layer in LAYERS:
        finish(registry.push_blob("web", layer, age=5 * DAY))
    registry.push("web", "", [b"config 3", b"arm64"], age=5 * DAY)
    registry.push("web", "old", [b"config 2", b"old"], age=5 * DAY)
    registry.push("web", "new", [b"config", b"new"], age=4 * DAY)
    registry.accepted = {key: digest for key, digest in registry.accepted.items() if key == ("web", "new")}
    return registry


OPTIONS: dict[str, Any] = {"delete_untagged": True, "rules": [Rule([".*"], ["old"], keep=None, keep_days=2)]}


class KilledError(Exception):
    """The job was killed."""


def interleave(
    order: Random,
    collector: type[Collector] = Collector,
    *,
    clients: Sequence[Client] = CLIENTS,
    kills: bool = False,
) -> tuple[Registry, Pushes]:
    """Collect while clients push, in the order of steps that `order` draws. A killed collector is run again."""
    registry = prepare(order.random() < 0.7)
    storage = registry.storage
    chosen = order.sample(clients, min(order.choice([1, 1, 2, 3]), len(clients)))
    pushes = Pushes(registry, chosen)
    # Bursts of steps at drawn moments: most errors need a certain pair of steps, and not a mixture of all.
    share, burst = order.choice([0.02, 0.1, 0.3]), order.choice([1, 3, 8, 30])
    killed_at = order.randrange(1, 120) if kills else 0
    count = 0

    def before_each() -> None:
        nonlocal count
        count += 1
        if count == killed_at:
            raise KilledError
        storage.now += 0.01
        while order.random() < share:
            number = order.randrange(len(chosen))
            for _ in range(order.randint(1, burst)):
                pushes.step(number)

    def sleep(seconds: float) -> None:
        pushes.finish_manifests()
        storage.now += seconds
        before_each()

    storage.before_each = before_each
    for _ in range(2):
        try:
            run(storage, sleep, collector, **OPTIONS)
            break
        except KilledError:
            storage.now += order.choice([1, 600])
            killed_at = 0
    storage.before_each = lambda: None
    pushes.finish()
    return registry, pushes


def broken_orders(
    collector: type[Collector] = Collector,
    *,
    clients: Sequence[Client] = CLIENTS,
    kills: bool = False,
    orders: int = ORDERS,
) -> Iterator[str]:
    """Yield the orders that break accepted images."""
    for seed in range(orders):
        registry, _ = interleave(Random(seed), collector, clients=clients, kills=kills)
        if broken := registry.broken():
            yield f"{seed}: {broken}"


def test_no_order_of_steps_breaks_an_accepted_image() -> None:
    refused = 0
    for seed in range(ORDERS):
        registry, pushes = interleave(Random(seed))
        refused += pushes.refused
        assert registry.broken() == {}, f"seed {seed}"
        assert [path for path in registry.storage.files if path.startswith(TRASH)] == []
    assert refused, "Some manifests meet a layer in the trash, and are refused."


def test_no_kill_at_any_step_breaks_an_accepted_image() -> None:
    assert list(broken_orders(kills=True)) == []


def test_a_kill_at_any_step_leaves_no_garbage() -> None:
    """The second run finishes the work of the first. Otherwise a manifest whose tag was removed would stay forever."""
    for killed_at in range(1, 200):
        registry = prepare(keeps_times=True)
        storage, count = registry.storage, 0

        def before_each(killed_at: int = killed_at) -> None:
            nonlocal count
            count += 1
            if count == killed_at:
                raise KilledError

        storage.before_each = before_each
        options = {**OPTIONS, "delete_untagged": False}
        try:
            run(storage, **options)
        except KilledError:
            storage.now += 60
            run(storage, **options)
        storage.before_each = lambda: None
        remaining = read_inventory(storage)
        assert len(remaining.blobs) == 6, f"killed at step {killed_at}"
        assert len(remaining.repositories["web"].manifests) == 2
        assert [*remaining.repositories["web"].history] == ["new"]


class WithoutPuttingBack(Collector):
    """A collector that puts no file back from the trash."""

    def _restore_needed(self) -> None:
        """Do nothing."""


class WithoutSecondLook(Collector):
    """A collector that restores files before the wait only. A link may appear during the wait."""

    looked = 0

    def _restore_needed(self) -> None:
        self.looked += 1
        if self.looked == 1:
            super()._restore_needed()


class WithoutNewLinks(Collector):
    """A collector that puts back the files that manifests need, and not those that only new links name."""

    def _needed(self, survey: Survey) -> set[str]:
        for repository in survey.inventory.repositories.values():
            for links in (repository.layers, repository.manifests):
                links |= {digest: Stamp(stamp.size, 0) for digest, stamp in links.items()}
        return super()._needed(survey)


class WithoutHistory(Collector):
    """A collector that does not notice that a tag is being pushed, if the storage does not keep times."""

    def _is_pushed(self, repository: str, tag: str) -> bool:
        return False


MUTANTS = [WithoutPuttingBack, WithoutSecondLook, WithoutHistory]
"""Collectors that break accepted images in some order of the steps."""


@pytest.mark.parametrize("mutant", MUTANTS)
def test_some_order_breaks_an_image_of_a_collector_without_one_of_its_rules(mutant: type[Collector]) -> None:
    clients = [push_same_tag] if mutant is WithoutHistory else CLIENTS
    assert next(broken_orders(mutant, clients=clients, orders=20_000), "")


def test_fewer_manifests_are_refused_because_layers_with_new_links_are_put_back() -> None:
    """A layer whose link is new is put back, though no manifest needs it yet. Without that no image breaks."""
    refused = [
        sum(interleave(Random(seed), collector)[1].refused for seed in range(300))
        for collector in (Collector, WithoutNewLinks)
    ]
    assert refused[0] < refused[1]
