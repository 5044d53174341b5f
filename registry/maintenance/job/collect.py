"""Collect: remove tags, manifests and blobs that are not needed any more, while clients push and pull.

No push is stopped. The order of the steps makes that safe (docs/adr/0024-maintenance.md):

1. Mark: read all links and manifests.
2. Choose the tags that the rules of retention do not keep, and the manifests of these tags that no remaining tag needs.
   With `delete_untagged`, choose every manifest that no remaining tag needs.
3. Move to the trash the links of these tags and manifests, and then the links and the data of blobs that no remaining
   manifest needs. From now on the registry calls them unknown. So a client uploads a layer again, and a manifest that
   needs one is refused.
4. Wait until the manifests that the registry had checked before step 3 are written. Then read the links again, put back
   the files that a manifest needs now, and delete the rest.

CNCF Distribution checks that all layers exist, and then writes the link to a manifest. So after the wait each manifest
either has a link, and its layers are put back, or it has been refused.
"""

import errno
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

from .layout import (
    HISTORY,
    LAYER,
    MANIFEST,
    PARTIAL_SECONDS,
    TAG,
    Inventory,
    Link,
    Repository,
    Stamp,
    data_path,
    parse_data,
    parse_link,
    read_inventory,
    tag_folder,
)
from .manifests import closure
from .report import Report
from .retention import Rule, choose_tags
from .storage import Storage, for_each, keep_reserve, read, storage_time, use_reserve
from .survey import Survey, Surveyor, damage_of_link, damage_of_manifest, heal_link
from .trash import CLOCK_SECONDS, Trash

GRACE_SECONDS = 2 * 3600
"""Seconds that everything stays after it was written. A push has sent a layer long before its manifest."""

PAUSE_SECONDS = 120
"""Seconds of the wait: longer than the registry needs to write a manifest after it has checked its layers."""

CHECK_SECONDS = 30
"""Least seconds between two searches for blobs to put back, while other blobs are moved."""

DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk, and of a used quota."""

COUNTS = (
    *("tags_removed", "manifests_removed", "blobs_removed", "bytes_freed"),
    *("damaged", "repaired", "restored", "spared", "uploads_aborted"),
)
"""Counts of the report. `restored` files were put back from the trash. `spared` ones changed after they were chosen."""

BATCH = 1000
"""Blobs that are moved between two lines of progress."""


@dataclass(frozen=True)
class CollectOptions:
    """The options of a collection.

    Attributes:
        rules: Rules of retention.
        delete_untagged: Whether every manifest that no tag needs is removed, and not only those of removed tags.
        blobs: Whether blobs are removed too, and not only tags and manifests.
        dry_run: Whether to report the choice without removing anything.
        upload_hours: Hours before an unfinished upload of S3 is aborted.
        grace: Seconds that everything stays after it was written.
        pause: Seconds of the wait.
    """

    rules: Sequence[Rule] = ()
    delete_untagged: bool = False
    blobs: bool = True
    dry_run: bool = False
    upload_hours: int = 24
    grace: float = GRACE_SECONDS
    pause: float = PAUSE_SECONDS


@dataclass
class Plan:
    """The choice of a collection: tags with reasons by repository, manifests, and blobs."""

    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    manifests: list[tuple[str, str, str]] = field(default_factory=list)
    """Repository, digest and reason."""
    blobs: list[str] = field(default_factory=list)


class Collector:
    """One collection."""

    def __init__(
        self,
        storage: Storage,
        options: CollectOptions,
        report: Report,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._storage = storage
        self._options = options
        self._report = report
        self._sleep = sleep
        self._clock = time.monotonic
        self._next_check = 0.0
        self._damaged: set[str] = set()
        self._now = self._read_clock()
        self._trash = Trash(storage, self._now)
        self._interrupted_tags = list(self._tags_in_trash())
        self._surveyor = Surveyor(storage, lambda path: next(iter(self._trash.places.get(path, ())), None))

    def _read_clock(self) -> float:
        """Return the time of the storage. A full disk has no place for the file of the clock without the reserve."""
        try:
            return storage_time(self._storage)
        except OSError as error:
            if error.errno not in DISK_FULL_ERRORS:
                raise
            self._report.say("the disk is full, so the reserve is used")
            use_reserve(self._storage)
            return storage_time(self._storage)

    def run(self) -> None:
        """Collect, and report the counts."""
        self._report.counts.update(dict.fromkeys(COUNTS, 0))
        if self._trash.places and not self._options.dry_run:
            self._report.say("an earlier run was interrupted, so what it moved and is needed is put back first")
            self._restore_needed()
        plan, inventory = self._mark()
        if self._options.dry_run:
            self._count_plan(inventory, plan)
            return
        self._move_tags(inventory, plan)
        self._clear_half_tags(inventory)
        self._move_manifests(inventory, plan)
        self._delete_partial(inventory)
        if self._options.blobs:
            del inventory  # two of them need much memory
            self._move_blobs()
        if self._trash.places:
            self._restore_needed()  # at once, so that no client waits for the end of the pause
            self._report.say(f"waiting {self._options.pause:.0f} s for manifests that are being written")
            self._sleep(self._options.pause)
            self._restore_needed()
            self._empty_trash()
        with suppress(OSError):  # the disk is still full
            keep_reserve(self._storage)
        aborted = self._storage.abort_uploads(self._now - self._options.upload_hours * 3600)
        self._report.counts["uploads_aborted"] += aborted

    # 1. Mark

    def _mark(self) -> tuple[Plan, Inventory]:
        """Read all links and manifests, report and repair the damaged ones, and choose tags and manifests."""
        inventory = read_inventory(self._storage)
        self._report.say(f"{len(inventory.repositories)} repositories and {len(inventory.blobs)} blobs are listed")
        survey = self._surveyor.survey(inventory, self._now)
        self._report.say(f"{len(survey.manifests)} manifests are read")
        self._report.counts["blobs"] = len(inventory.blobs)
        self._report.counts["bytes"] = sum(stamp.size for stamp in inventory.blobs.values())
        self._damaged = survey.damaged_repositories
        for bad in survey.bad_links:
            repository = inventory.repositories[bad.link.repository]
            repair = "" if self._options.dry_run else heal_link(self._storage, repository, bad.link)
            self._report.add_damage(damage_of_link(survey, bad, repair))
        for broken in survey.bad_manifests:
            self._report.add_damage(damage_of_manifest(survey, broken))
        return self._plan(survey), inventory

    def _is_old(self, stamp: Stamp | None) -> bool:
        """Return whether a file was written before the grace period. A missing file counts as old."""
        return stamp is None or stamp.modified < self._now - self._options.grace

    # 2. Retention

    def _plan(self, survey: Survey) -> Plan:
        plan = Plan()
        for repository in survey.inventory.repositories.values():
            if repository.name not in self._damaged:
                tags = plan.tags[repository.name] = self._choose_tags(survey, repository)
                doomed = self._choose_manifests(survey, repository, tags)
                plan.manifests += [(repository.name, digest, reason) for digest, reason in sorted(doomed.items())]
        if self._options.dry_run and self._options.blobs:
            gone = {(repository, digest) for repository, digest, _ in plan.manifests}
            plan.blobs = self._choose_blobs(survey, gone)
        return plan

    def _choose_tags(self, survey: Survey, repository: Repository) -> dict[str, str]:
        """Return the tags to remove, with reasons.

        A tag stays as long as its manifest has to. Otherwise no later run would know that the manifest had a tag that
        was removed.
        """
        targets = survey.targets[repository.name]
        times = {tag: stamp.modified for tag, stamp in repository.tags.items() if tag in targets}
        reasons = choose_tags(repository.name, times, self._options.rules, self._now)
        return {
            tag: reason
            for tag, reason in reasons.items()
            if self._is_old(repository.tags[tag])
            and self._is_old(repository.manifests.get(targets[tag]))
            and all(map(self._is_old, repository.history.get(tag, {}).values()))
        }

    def _choose_manifests(self, survey: Survey, repository: Repository, tags: dict[str, str]) -> dict[str, str]:
        """Return the manifests to remove, with reasons: those of removed tags that no remaining tag needs.

        With `delete_untagged`, return every manifest that no remaining tag needs. `tags` are the tags to remove.
        """
        targets = survey.targets[repository.name]
        manifests = {digest: survey.manifests[digest] for digest in survey.live(repository)}
        remaining = closure((target for tag, target in targets.items() if tag not in tags), manifests)
        interrupted = {link.digest for link in self._interrupted_tags if link.repository == repository.name}
        untagged = closure({targets[tag] for tag in tags} | interrupted, manifests)
        if self._options.delete_untagged:
            untagged = {*manifests}
        recent = self._recently_tagged(repository)
        stays = remaining | {
            digest
            for digest in manifests
            if digest not in untagged or not self._is_old(repository.manifests.get(digest)) or digest in recent
        }
        stays = closure(stays, manifests)
        # A signature stays with its image, and so does everything that the signature needs.
        while more := {digest for digest in manifests if digest not in stays and manifests[digest].subject in stays}:
            stays = closure(stays | more, manifests)
        by_target = {targets[tag]: tag for tag in tags}
        return {
            digest: f"its tag {by_target[digest]} is removed" if digest in by_target else "no tag needs it"
            for digest in repository.manifests
            if digest not in stays
        }

    def _recently_tagged(self, repository: Repository) -> set[str]:
        """Return all manifests in the history of each tag that was pushed recently. A client may be reading one."""
        return {
            digest
            for tag, history in repository.history.items()
            if not self._is_old(repository.tags.get(tag))
            for digest in history
            if tag in repository.tags
        }

    def _choose_blobs(self, survey: Survey, gone: Collection[tuple[str, str]] = ()) -> list[str]:
        """Return the blobs that no manifest needs, if they and all links to them are old.

        `gone` has the manifests that a dry run would remove, each after its repository. They need no blob.
        """
        needed: set[str] = set()
        for repository in survey.inventory.repositories.values():
            if repository.name in self._damaged | survey.damaged_repositories:
                needed |= repository.layers.keys()
            needed |= {digest for digest, stamp in repository.layers.items() if not self._is_old(stamp)}
            for digest in survey.live(repository):
                if (repository.name, digest) not in gone:
                    needed.add(digest)
                    needed |= survey.manifests[digest].references if digest in survey.manifests else set()
        blobs = survey.inventory.blobs.items()
        return sorted(digest for digest, stamp in blobs if digest not in needed and self._is_old(stamp))

    def _count_plan(self, inventory: Inventory, plan: Plan) -> None:
        """Report and count the tags, manifests and blobs that a run would remove."""
        for repository, tags in plan.tags.items():
            for tag, reason in sorted(tags.items()):
                self._count("tag", repository, tag=tag, reason=reason)
        for repository, digest, reason in plan.manifests:
            self._count("manifest", repository, digest=digest, reason=reason)
        self._report.counts["blobs_removed"] = len(plan.blobs)
        self._report.counts["bytes_freed"] = sum(inventory.blobs[digest].size for digest in plan.blobs)

    def _count(self, kind: str, repository: str, **fields: str) -> None:
        self._report.counts[f"{kind}s_removed"] += 1
        event = "would-remove" if self._options.dry_run else "removed"
        self._report.record(event, kind=kind, repository=repository, **fields)

    def _move_tags(self, inventory: Inventory, plan: Plan) -> None:
        """Remove tags. The current link goes first, because without it the tag does not exist."""
        for name, tags in plan.tags.items():
            repository = inventory.repositories[name]
            for tag, reason in sorted(tags.items()):
                path = Link(name, TAG, tag=tag).path
                is_moved = self._trash.discard(path, repository.tags[tag])
                if is_moved and self._is_pushed(name, tag):
                    self._trash.restore(path)
                elif is_moved:
                    self._clear_tag(repository, tag)
                    self._count("tag", name, tag=tag, reason=reason)
                    continue
                self._report.counts["spared"] += 1

    def _is_pushed(self, repository: str, tag: str) -> bool:
        """Return whether a client is pushing the tag. The registry writes the history first, and the current link last.

        On S3, `Trash.discard` may have moved a current link that was written a moment before.
        """
        history = self._storage.entries(f"{tag_folder(repository, tag)}/index")
        return not all(self._is_old(Stamp(entry.size, entry.modified)) for entry in history)

    def _clear_tag(self, repository: Repository, tag: str) -> None:
        """Delete the rest of a tag's folder, which still lets the registry list it."""
        for digest in repository.history.get(tag, ()):
            self._storage.delete(Link(repository.name, HISTORY, digest, tag).path)
        self._storage.remove_folder(tag_folder(repository.name, tag))

    def _clear_half_tags(self, inventory: Inventory) -> None:
        """Delete the rest of tags whose removal was interrupted."""
        for link in self._interrupted_tags:
            self._storage.remove_folder(tag_folder(link.repository, link.tag))
        for repository in inventory.repositories.values():
            for tag, history in repository.history.items():
                if tag not in repository.tags and all(map(self._is_old, history.values())):
                    self._clear_tag(repository, tag)

    # 3. Move to the trash

    def _move_manifests(self, inventory: Inventory, plan: Plan) -> None:
        """Move the links to manifests, before any blob that a manifest needs."""
        for repository, digest, reason in plan.manifests:
            stamp = inventory.repositories[repository].manifests[digest]
            if self._trash.discard(Link(repository, MANIFEST, digest).path, stamp):
                self._count("manifest", repository, digest=digest, reason=reason)
            else:
                self._report.counts["spared"] += 1

    def _move_blobs(self) -> None:
        """Move the links and the data of blobs that no manifest needs now.

        A client may push a manifest meanwhile that needs some of them. So these are put back from time to time.
        """
        survey = self._surveyor.survey(read_inventory(self._storage), self._now)
        chosen = dict.fromkeys(self._choose_blobs(survey))
        blobs = {digest: survey.inventory.blobs[digest] for digest in chosen}
        links: dict[str, list[tuple[Link, Stamp]]] = {}
        for repository in survey.inventory.repositories.values():
            for digest in repository.layers.keys() & chosen:
                links.setdefault(digest, []).append((Link(repository.name, LAYER, digest), repository.layers[digest]))
        del survey

        def move(digest: str) -> bool:
            is_moved = [self._trash.discard(link.path, stamp) for link, stamp in links.get(digest, ())]
            return all(is_moved) and self._trash.discard(data_path(digest), blobs[digest])

        done = 0
        for batch in batched(blobs, BATCH):
            self._report.counts["spared"] += len(batch) - sum(for_each(self._storage, move, batch))
            done += len(batch)
            self._report.say(f"{done} of {len(blobs)} blobs are moved to the trash")
            if self._clock() > self._next_check:
                self._restore_needed()

    def _delete_partial(self, inventory: Inventory) -> None:
        """Delete the files that a killed registry left half-written."""
        for path, stamp in inventory.partial.items():
            if stamp.modified < self._now - max(PARTIAL_SECONDS, self._options.grace):
                self._storage.delete(path)
                self._report.counts["bytes_freed"] += stamp.size

    # 4. Put back or delete

    def _tags_in_trash(self) -> Iterator[Link]:
        """Yield the links of tags that an interrupted run removed, each with the digest of its manifest."""
        for path in self._trash.paths():
            link = parse_link(path)
            if link is not None and link.kind == TAG:
                target = read(self._storage, self._trash.places[path][0]).decode(errors="replace")
                yield link._replace(digest=target)

    def _restore_needed(self) -> None:
        """Put back everything in the trash that is needed now."""
        start = self._clock()
        needed = self._needed(self._surveyor.survey(read_inventory(self._storage), self._now))
        # The data comes first, and the link to a manifest last. So no link is there without its data.
        for path in sorted(needed, key=_restore_order):
            self._trash.restore(path)
        self._report.counts["restored"] += len(needed)
        self._next_check = self._clock() + max(CHECK_SECONDS, 5 * (self._clock() - start))

    def _needed(self, survey: Survey) -> set[str]:
        """Return the paths in the trash that are needed.

        These are files that were written while they were moved, links of damaged repositories, and what manifests refer
        to. Data is also needed if a link to it was written since the oldest run in the trash.
        """
        in_trash = {path: parse_link(path) for path in self._trash.paths()}
        needed = {path for path in in_trash if self._trash.is_new(path)}
        references = self._bring_back_manifests(survey, in_trash, needed)
        start = self._trash.oldest - CLOCK_SECONDS
        digests = {*survey.manifests, *(bad.digest for bad in survey.bad_manifests)}.union(*references.values())
        for repository in survey.inventory.repositories.values():
            digests |= {link.digest for link, stamp in repository.links() if stamp.modified >= start}
        damaged = survey.damaged_repositories
        for path, link in in_trash.items():
            if link is None or link.kind == TAG:
                continue
            if link.repository in damaged:
                digests.add(link.digest)
                needed.add(path)
            elif link.kind == LAYER and link.digest in references.get(link.repository, ()):
                needed.add(path)
        return needed | {path for path in in_trash if parse_data(path) in digests}

    def _bring_back_manifests(
        self, survey: Survey, in_trash: Mapping[str, Link | None], needed: set[str]
    ) -> dict[str, set[str]]:
        """Add to `needed` the links to manifests that a tag or a manifest needs, one that comes back included.

        Return the digests that the manifests of each repository refer to.
        """
        waiting = {path: link for path, link in in_trash.items() if link is not None and link.kind == MANIFEST}
        while True:
            references = {
                repository.name: _references(survey, repository)
                for repository in survey.inventory.repositories.values()
            }
            found = {
                path: link
                for path, link in waiting.items()
                if path in needed
                or link.digest in survey.targets.get(link.repository, {}).values()
                or link.digest in references.get(link.repository, ())
            }
            if not found:
                return references
            for path, link in found.items():
                del waiting[path]
                needed.add(path)
                repositories = survey.inventory.repositories
                repository = repositories.setdefault(link.repository, Repository(link.repository))
                repository.manifests[link.digest] = Stamp(0, 0)
            self._surveyor.read_manifests(survey)

    def _empty_trash(self) -> None:
        """Delete everything that is left in the trash, and the folders that it leaves empty."""

        def delete(path: str) -> tuple[str, int]:
            size = self._trash.size(path)
            self._trash.delete(path)
            self._storage.remove_folder(path.rpartition("/")[0])
            return path, size

        for path, size in for_each(self._storage, delete, self._trash.paths()):
            self._report.counts["blobs_removed"] += parse_data(path) is not None
            self._report.counts["bytes_freed"] += size
        self._trash.remove_folders()


def batched(items: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield lists of at most `size` items. Python 3.11 has no `itertools.batched`."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _restore_order(path: str) -> tuple[int, str]:
    """Return a sort key: data first, then links to layers, then other links."""
    link = parse_link(path)
    return (0 if link is None else 1 if link.kind == LAYER else 2), path


def _references(survey: Survey, repository: Repository) -> set[str]:
    """Return the digests that the manifests of a repository refer to."""
    known = survey.live(repository) & survey.manifests.keys()
    return set().union(*(survey.manifests[digest].references for digest in known))
