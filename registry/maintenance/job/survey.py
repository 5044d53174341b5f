"""A survey of the storage: the content of tags and manifests, and the damage of links and manifests."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .layout import (
    DIGEST,
    LAYER,
    MANIFEST,
    OWN,
    TAG,
    Inventory,
    Link,
    Repository,
    Stamp,
    data_path,
    is_link_size,
)
from .manifests import MOST_BYTES, Manifest, hash_of, parse_manifest
from .report import Damage
from .storage import Storage, for_each, read
from .trash import CLOCK_SECONDS

DAMAGED = f"{OWN}/damaged"
"""Folder of damaged files that were moved aside."""

LINK_NAMES = {MANIFEST: "manifest link", LAYER: "layer link", TAG: "tag link"}
"""Name of each kind of link in a report."""


class BadLink(NamedTuple):
    """A damaged link, and the kind of damage in words."""

    link: Link
    kind: str


class BadManifest(NamedTuple):
    """A manifest that cannot be read, and the kind of damage in words."""

    repository: str
    digest: str
    kind: str


@dataclass
class Survey:
    """An inventory with the content of tags and manifests.

    Attributes:
        targets: Digests of the manifests of tags, by repository and tag.
        manifests: Readable manifests by digest.
        bad_links: Damaged links.
        bad_manifests: Manifests that are missing or damaged.
    """

    inventory: Inventory
    targets: dict[str, dict[str, str]] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    bad_links: list[BadLink] = field(default_factory=list)
    bad_manifests: list[BadManifest] = field(default_factory=list)

    @property
    def damaged_repositories(self) -> set[str]:
        """Repositories with damage. None of their manifests and layers may be removed."""
        return {bad.link.repository for bad in self.bad_links} | {bad.repository for bad in self.bad_manifests}

    def live(self, repository: Repository) -> set[str]:
        """Return the digests of the manifests of a repository: the linked ones, and those of tags."""
        return {*repository.manifests, *self.targets.get(repository.name, {}).values()}

    def images(self, repository: str, digest: str) -> list[str]:
        """Return the images of a repository that need the digest, as REPOSITORY:TAG, or REPOSITORY if no tag does."""
        needing = {digest}
        while more := {
            other
            for other in self.live(self.inventory.repositories[repository])
            if other not in needing and other in self.manifests and self.manifests[other].references & needing
        }:
            needing |= more
        tags = [tag for tag, target in sorted(self.targets.get(repository, {}).items()) if target in needing]
        return [f"{repository}:{tag}" for tag in tags] or [repository]

    def images_everywhere(self, digest: str) -> list[str]:
        """Return the images that need the digest, of all repositories with a link to it."""
        return [
            image
            for name, repository in sorted(self.inventory.repositories.items())
            if digest in repository.layers or digest in self.live(repository)
            for image in self.images(name, digest)
        ]


class Surveyor:
    """Read tags and manifests. Several surveys read each unchanged tag and manifest once.

    `place_of` returns another path for the path of missing data, such as one in the trash, or None.
    """

    def __init__(self, storage: Storage, place_of: Callable[[str], str | None] = lambda _: None) -> None:
        self._storage = storage
        self._place_of = place_of
        self._targets: dict[tuple[str, str], tuple[Stamp, str]] = {}
        self._manifests: dict[str, Manifest] = {}

    def survey(self, inventory: Inventory, now: float) -> Survey:
        """Return the survey of an inventory. `now` is a time of the storage, before the inventory was read."""
        survey = Survey(inventory)
        for repository in inventory.repositories.values():
            survey.targets[repository.name] = self._read_tags(repository, now, survey.bad_links)
            for link, stamp in repository.links():
                if not is_link_size(stamp):
                    survey.bad_links.append(BadLink(link, _size_problem(stamp)))
        self.read_manifests(survey)
        return survey

    def read_manifests(self, survey: Survey) -> None:
        """Read the manifests that were not read yet, and list those that cannot be read in `survey.bad_manifests`."""
        survey.bad_manifests.clear()
        wanted = {digest for one in survey.inventory.repositories.values() for digest in survey.live(one)}
        problems: dict[str, str] = {}
        unread = sorted(wanted - self._manifests.keys())
        for digest, manifest in zip(unread, for_each(self._storage, self._read_manifest, unread), strict=True):
            if isinstance(manifest, Manifest):
                self._manifests[digest] = manifest
            else:
                problems[digest] = manifest
        survey.manifests = {digest: self._manifests[digest] for digest in wanted - problems.keys()}
        if problems:
            for repository in survey.inventory.repositories.values():
                bad = sorted(survey.live(repository) & problems.keys())
                survey.bad_manifests += [BadManifest(repository.name, digest, problems[digest]) for digest in bad]

    def _read_tags(self, repository: Repository, now: float, problems: list[BadLink]) -> dict[str, str]:
        targets: dict[str, str] = {}
        tags = list(repository.tags.items())
        for (tag, _), target in zip(
            tags, for_each(self._storage, lambda item: self._read_tag(repository.name, *item, now), tags), strict=True
        ):
            if target is None:
                continue
            if DIGEST.fullmatch(target):
                targets[tag] = target
            else:
                problems.append(BadLink(Link(repository.name, TAG, tag=tag), target))
        return targets

    def _read_tag(self, repository: str, tag: str, stamp: Stamp, now: float) -> str | None:
        """Return the digest of a tag, or the problem with its link in words. Return None if the tag was deleted."""
        if not is_link_size(stamp):
            return _size_problem(stamp)
        known, target = self._targets.get((repository, tag), (None, ""))
        if known == stamp:
            return target
        try:
            target = read(self._storage, Link(repository, TAG, tag=tag).path).decode(errors="replace").strip()
        except FileNotFoundError:
            return None
        if not DIGEST.fullmatch(target):
            return "the link is not a digest"
        if stamp.modified < now - CLOCK_SECONDS:  # a later change has another time
            self._targets[repository, tag] = stamp, target
        return target

    def _read_manifest(self, digest: str) -> Manifest | str:
        """Return a manifest, or the problem with it in words."""
        path = data_path(digest)
        entry = self._storage.entry(path)
        if entry is None and (elsewhere := self._place_of(path)):
            path, entry = elsewhere, self._storage.entry(elsewhere)
        if entry is None:
            return "the data is missing"
        if entry.size > MOST_BYTES:
            return f"the data is {entry.size} bytes, too many for a manifest"
        try:
            content = read(self._storage, path)
            if hash_of(digest, [content]) != digest:
                return "the bytes do not match the digest"
        except FileNotFoundError:
            return "the data is missing"
        except ValueError:
            return "the digest is of an unknown kind"
        return parse_manifest(content)


def heal_link(storage: Storage, repository: Repository, link: Link) -> str:
    """Write a damaged link again, or move it aside. Return the repair in words.

    The path of a link to a manifest or a layer contains its digest. The digest of a tag is that of the newest link in
    the tag's history.
    """
    digest = link.digest or newest(repository.history.get(link.tag, {}), repository.manifests)
    if digest:
        storage.write(link.path, digest.encode())
        return "the link was written again"
    storage.move(link.path, f"{DAMAGED}/{link.path}")
    return "the link was moved aside, so the tag is gone"


def newest(history: Mapping[str, Stamp], manifests: Iterable[str]) -> str:
    """Return the digest of the tag's latest manifest. Return "" if no manifest exists, or two are equally new."""
    present = [(stamp.modified, digest) for digest, stamp in history.items() if digest in manifests]
    present.sort(reverse=True)
    if not present or (len(present) > 1 and present[0][0] - present[1][0] < CLOCK_SECONDS):
        return ""
    return present[0][1]


def damage_of_link(survey: Survey, bad: BadLink, repair: str = "") -> Damage:
    """Return the damage of a link, with the images that it concerns."""
    link = bad.link
    images = [f"{link.repository}:{link.tag}"] if link.tag else survey.images(link.repository, link.digest)
    return Damage(LINK_NAMES[link.kind], bad.kind, link.digest, images, repair)


def damage_of_manifest(survey: Survey, bad: BadManifest) -> Damage:
    """Return the damage of a manifest, with the images that it concerns."""
    return Damage("manifest", bad.kind, bad.digest, survey.images(bad.repository, bad.digest))


def _size_problem(stamp: Stamp) -> str:
    return "the link is empty" if stamp.size == 0 else f"the link has {stamp.size} bytes"
