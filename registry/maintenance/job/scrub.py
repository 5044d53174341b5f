"""Scrub: hash the blobs, and check links and manifests.

The first byte of its digest assigns a blob to one of 256 parts. Each run hashes the new blobs of every part, and all
blobs of the parts that are due, so that each blob is hashed once in `days` days. It also hashes the files that the last
run found damaged. The state is saved after each due part, so the run after a killed one continues with the next part.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from .layout import LAYER, MANIFEST, OWN, Inventory, Link, Stamp, data_path, is_link_size, read_inventory
from .manifests import hash_of
from .report import Damage, Report
from .storage import Storage, for_each, read, storage_time
from .survey import DAMAGED, LINK_NAMES, BadLink, Survey, Surveyor, damage_of_link, damage_of_manifest, heal_link
from .trash import CLOCK_SECONDS

STATE = f"{OWN}/scrub.json"

PARTS = tuple(f"{number:02x}" for number in range(256))
"""Names of the parts: the first two hexadecimal digits of the digests."""

DAY_SECONDS = 24 * 3600

LONGEST_INTERVAL = 7 * DAY_SECONDS
"""Most seconds since the last run that one run makes up for. After a longer break, blobs are checked later instead."""


@dataclass(frozen=True)
class ScrubOptions:
    """The options of a scrub.

    Attributes:
        days: Days that hashing every blob once takes.
        heal: Whether damaged data is moved aside, and damaged or missing links are written again.
        everything: Whether to hash all blobs in this run.
    """

    days: int = 30
    heal: bool = False
    everything: bool = False


@dataclass
class State:
    """The POSIX times of the last checks in seconds.

    Attributes:
        last_run: Start of the last run that ended.
        full: Last check of all blobs, by part.
        new: Last check of the new blobs, by part.
        damaged: Digests with damage that the last run has not repaired. Each run checks them again, so that damage is
            reported until it is gone.
    """

    last_run: float = 0
    full: dict[str, float] = field(default_factory=dict)
    new: dict[str, float] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)


def parse_state(content: bytes) -> State:
    """Return the state of the file. If the file is damaged, return an empty state, so that all is checked again."""
    with suppress(ValueError, TypeError, AttributeError):
        fields: Mapping[str, Any] = json.loads(content)
        full, new = ({part: float(time) for part, time in fields[key].items()} for key in ("full", "new"))
        return State(float(fields["last_run"]), full, new, list(map(str, fields.get("damaged", ()))))
    return State()


def due_parts(state: State, now: float, days: int) -> list[str]:
    """Return the parts to check in full: those that were never checked, or else those with the oldest check.

    Their number is such that every part is checked within `days` days, if each interval between runs is like the last.
    """
    never = [part for part in PARTS if part not in state.full]
    if never:
        return never
    interval = min(max(now - state.last_run, 0), LONGEST_INTERVAL)
    number = math.ceil(len(PARTS) * interval / (days * DAY_SECONDS))
    oldest_first = sorted(PARTS, key=lambda part: (state.full[part], part))
    return oldest_first[:number]


class Scrubber:
    """One scrub."""

    def __init__(self, storage: Storage, options: ScrubOptions, report: Report) -> None:
        self._storage = storage
        self._options = options
        self._report = report
        self._now = storage_time(storage)
        self._surveyor = Surveyor(storage)

    def run(self) -> bool:
        """Scrub. Return whether no damage remains."""
        self._report.counts.update({"damaged": 0, "repaired": 0})
        try:
            state = parse_state(read(self._storage, STATE))
        except FileNotFoundError:
            state = State()
        inventory = read_inventory(self._storage)
        survey = self._surveyor.survey(inventory, self._now)
        self._report.say(f"{len(inventory.blobs)} blobs and {len(survey.manifests)} manifests are listed")
        self._check_links(survey)
        self._check_manifests(survey)
        self._check_blobs(survey, state)
        state.last_run = self._now
        state.damaged = self._damaged_digests()
        self._save(state)
        return self._report.counts["damaged"] == self._report.counts["repaired"]

    def _check_links(self, survey: Survey) -> None:
        """Report the links that the survey found damaged, by the size of all links and the content of tags."""
        for bad in survey.bad_links:
            if self._is_still_bad(bad.link):
                self._report_link(survey, bad)

    def _report_link(self, survey: Survey, bad: BadLink) -> None:
        repository = survey.inventory.repositories[bad.link.repository]
        repair = heal_link(self._storage, repository, bad.link) if self._options.heal else ""
        self._report.add_damage(damage_of_link(survey, bad, repair))

    def _is_still_bad(self, link: Link) -> bool:
        """Return whether a link is still damaged. A client may have pushed or deleted it meanwhile."""
        entry = self._storage.entry(link.path)
        if entry is None:
            return False
        content = read(self._storage, link.path).decode(errors="replace")
        return not is_link_size(Stamp(entry.size, entry.modified)) or bool(link.digest and content != link.digest)

    def _check_manifests(self, survey: Survey) -> None:
        """Check that all manifests exist, with everything that they need."""
        for bad in survey.bad_manifests:
            link = Link(bad.repository, MANIFEST, bad.digest)
            is_needed = self._storage.entry(link.path) is not None
            is_there = self._storage.entry(data_path(bad.digest)) is not None
            if is_needed and not (is_there and self._is_whole(bad.digest)):
                damage = damage_of_manifest(survey, bad)
                damage.repair = self._move_aside(bad.digest)
                self._report.add_damage(damage, needs_push=True)
        reported: set[tuple[str, str]] = set()
        for repository in survey.inventory.repositories.values():
            for target in sorted(survey.live(repository) & survey.manifests.keys()):
                for link in self._missing_links(survey, repository.name, target):
                    if (link.repository, link.digest) not in reported and self._is_still_missing(link, target):
                        reported.add((link.repository, link.digest))
                        self._report_missing(survey, link)

    def _missing_links(self, survey: Survey, repository: str, manifest: str) -> Iterator[Link]:
        """Yield the links that a manifest needs if they, or their data, are missing."""
        links, blobs = survey.inventory.repositories[repository], survey.inventory.blobs
        if manifest not in links.manifests:
            yield Link(repository, MANIFEST, manifest)
        for digest in sorted(survey.manifests[manifest].layers):
            if digest not in links.layers or digest not in blobs:
                yield Link(repository, LAYER, digest)
        for digest in sorted(survey.manifests[manifest].children):
            if digest not in links.manifests:  # the survey has read the data of linked manifests
                yield Link(repository, MANIFEST, digest)

    def _is_still_missing(self, link: Link, manifest: str) -> bool:
        """Return whether the link or its data is still missing, and still needed by the manifest.

        Clients may have pushed or deleted meanwhile. A tag alone needs the link of its manifest.
        """
        is_needed = self._storage.entry(Link(link.repository, MANIFEST, manifest).path) is not None
        is_there = all(self._storage.entry(path) for path in (link.path, data_path(link.digest)))
        return (is_needed or link.digest == manifest) and not is_there

    def _report_missing(self, survey: Survey, link: Link) -> None:
        images = survey.images(link.repository, link.digest)
        if self._storage.entry(data_path(link.digest)) is None:
            self._report.add_damage(Damage("blob", "the data is missing", link.digest, images))
            return
        repair = ""
        if self._options.heal:
            self._storage.write(link.path, link.digest.encode())
            repair = "the link was written again"
        self._report.add_damage(Damage(LINK_NAMES[link.kind], "the link is missing", link.digest, images, repair))

    def _check_blobs(self, survey: Survey, state: State) -> None:
        """Hash the new blobs, and all blobs of the parts that are due. Read the links to them, too."""
        parts, links = _blobs_by_part(survey.inventory), _links_by_part(survey.inventory)
        due = PARTS if self._options.everything else due_parts(state, self._now, self._options.days)
        damaged = {*state.damaged}
        # The due parts come first. Each is saved, so that the run after a killed one continues with the next part.
        for number, part in enumerate(sorted(PARTS, key=lambda part: (part not in due, part)), 1):
            since = 0.0 if part in due else state.new.get(part, 0.0) - CLOCK_SECONDS
            blobs = {
                digest: stamp for digest, stamp in parts[part].items() if stamp.modified >= since or digest in damaged
            }
            for digest, is_whole in zip(blobs, for_each(self._storage, self._is_whole, blobs), strict=True):
                if not is_whole:
                    self._report_blob(survey, digest)
            self._report.counts["blobs_checked"] += len(blobs)
            self._report.counts["bytes_checked"] += sum(stamp.size for stamp in blobs.values())
            recent = [link for link, stamp in links[part] if stamp.modified >= since or link.digest in damaged]
            self._read_links(survey, recent)
            state.new[part] = self._now
            if part in due:
                state.full[part] = self._now
                state.damaged = sorted({*state.damaged, *self._damaged_digests()})
                self._save(state)
                self._report.say(f"part {number} of {len(due)}: {self._report.counts['bytes_checked']} bytes checked")
        self._report.counts["parts_checked"] = len(due)

    def _read_links(self, survey: Survey, links: Sequence[Link]) -> None:
        """Read links to manifests and layers."""
        for link, is_bad in zip(links, for_each(self._storage, self._is_still_bad, links), strict=True):
            if is_bad:
                self._report_link(survey, BadLink(link, "the link has another digest"))

    def _report_blob(self, survey: Survey, digest: str) -> None:
        """Report a blob whose bytes are wrong, unless it is a manifest, which has been reported."""
        if any(bad.digest == digest for bad in survey.bad_manifests) or self._is_whole(digest):
            return
        kind = "the bytes do not match the digest"
        damage = Damage("blob", kind, digest, survey.images_everywhere(digest), self._move_aside(digest))
        self._report.add_damage(damage, needs_push=True)

    def _move_aside(self, digest: str) -> str:
        """Move wrong data aside, if asked to. A client that pushes the image then sends the blob again."""
        path = data_path(digest)
        if not self._options.heal or self._storage.entry(path) is None:
            return ""
        self._storage.move(path, f"{DAMAGED}/{path}")
        return "the data was moved aside, so the next push sends it again"

    def _is_whole(self, digest: str) -> bool:
        """Return whether the bytes of a blob match its digest. A deleted blob or an unknown kind of digest does."""
        try:
            return hash_of(digest, self._storage.chunks(data_path(digest))) == digest
        except (FileNotFoundError, ValueError):
            return True

    def _damaged_digests(self) -> list[str]:
        return sorted({damage.digest for damage in self._report.damage if damage.digest})

    def _save(self, state: State) -> None:
        self._storage.write(STATE, json.dumps(vars(state)).encode())


def _part_of(digest: str) -> str:
    return digest.partition(":")[2][:2]


def _blobs_by_part(inventory: Inventory) -> dict[str, dict[str, Stamp]]:
    """Return the blobs of each part."""
    parts: dict[str, dict[str, Stamp]] = {part: {} for part in PARTS}
    for digest, stamp in inventory.blobs.items():
        parts[_part_of(digest)][digest] = stamp
    return parts


def _links_by_part(inventory: Inventory) -> dict[str, list[tuple[Link, Stamp]]]:
    """Return the links to the manifests and layers of each part, without links of a wrong size."""
    parts: dict[str, list[tuple[Link, Stamp]]] = {part: [] for part in PARTS}
    for repository in inventory.repositories.values():
        for link, stamp in repository.links():
            if is_link_size(stamp):
                parts[_part_of(link.digest)].append((link, stamp))
    return parts
