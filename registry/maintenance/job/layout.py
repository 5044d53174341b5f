"""The files of the registry, as CNCF Distribution stores them (registry/storage/paths.go).

    docker/registry/v2/repositories/NAME/_manifests/revisions/sha256/HEX/link        a manifest of the repository
    docker/registry/v2/repositories/NAME/_manifests/tags/TAG/current/link            the manifest of a tag
    docker/registry/v2/repositories/NAME/_manifests/tags/TAG/index/sha256/HEX/link   a manifest that the tag has or had
    docker/registry/v2/repositories/NAME/_layers/sha256/HEX/link                     a layer or config
    docker/registry/v2/blobs/sha256/HE/HEX/data                                      the bytes, for all repositories

A link contains a digest. The digest of a blob is the hash of its bytes. The registry writes a file under another name
and renames it, so it never shows a part of one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from sys import intern
from typing import NamedTuple

from .storage import Storage

ROOT = "docker/registry/v2"
REPOSITORIES = f"{ROOT}/repositories"
BLOBS = f"{ROOT}/blobs"
OWN = "private-registry"
"""Folder of the jobs, next to that of the registry."""

MANIFEST, LAYER, TAG, HISTORY = "manifest", "layer", "tag", "history"
"""Kinds of links. TAG is the current link of a tag, and HISTORY a link to a manifest that the tag has or had."""

LINK = re.compile(
    rf"{REPOSITORIES}/(?P<repository>.+)/(?:"
    r"_manifests/tags/(?P<tag>[^/]+)/(?:current|index/(?P<history>[a-z0-9]+/[0-9a-f]+))"
    r"|_manifests/revisions/(?P<manifest>[a-z0-9]+/[0-9a-f]+)"
    r"|_layers/(?P<layer>[a-z0-9]+/[0-9a-f]+)"
    r")/link"
)
DATA = re.compile(rf"{BLOBS}/(?P<algorithm>[a-z0-9]+)/[0-9a-f]{{2}}/(?P<hex>[0-9a-f]+)/data")

PARTIAL = re.compile(rf"{ROOT}/(?!.*/_uploads/).*/(?:link|data)\.[0-9a-f-]{{36}}\.tmp")
"""Path of a file that the registry was writing when it was killed."""

DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")

PARTIAL_SECONDS = 24 * 3600
"""Seconds between the last change of a partial file and the end of all writes to it by the registry."""


class Stamp(NamedTuple):
    """Size of a file in bytes, and the POSIX time of its last change in seconds."""

    size: int
    modified: float


class Link(NamedTuple):
    """The place of a link. `tag` is empty for manifests and layers, and `digest` for the current link of a tag."""

    repository: str
    kind: str
    digest: str = ""
    tag: str = ""

    @property
    def path(self) -> str:
        """The path of the link."""
        folder, place = f"{REPOSITORIES}/{self.repository}", self.digest.replace(":", "/")
        if self.kind == LAYER:
            return f"{folder}/_layers/{place}/link"
        if self.kind == MANIFEST:
            return f"{folder}/_manifests/revisions/{place}/link"
        index = "current" if self.kind == TAG else f"index/{place}"
        return f"{tag_folder(self.repository, self.tag)}/{index}/link"


@dataclass
class Repository:
    """The links of a repository: manifests and layers by digest, tags by name, and the history of tags by both."""

    name: str
    manifests: dict[str, Stamp] = field(default_factory=dict)
    layers: dict[str, Stamp] = field(default_factory=dict)
    tags: dict[str, Stamp] = field(default_factory=dict)
    history: dict[str, dict[str, Stamp]] = field(default_factory=dict)

    def links(self) -> Iterator[tuple[Link, Stamp]]:
        """Yield the links to manifests and layers."""
        for kind, links in ((MANIFEST, self.manifests), (LAYER, self.layers)):
            for digest, stamp in links.items():
                yield Link(self.name, kind, digest), stamp


@dataclass
class Inventory:
    """All links by repository, all blobs by digest, and the leftovers of a killed registry."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    blobs: dict[str, Stamp] = field(default_factory=dict)
    partial: dict[str, Stamp] = field(default_factory=dict)


def data_path(digest: str) -> str:
    """Return the path of a blob's bytes."""
    algorithm, _, hexadecimal = digest.partition(":")
    return f"{BLOBS}/{algorithm}/{hexadecimal[:2]}/{hexadecimal}/data"


def tag_folder(repository: str, tag: str) -> str:
    """Return the folder of a tag."""
    return f"{REPOSITORIES}/{repository}/_manifests/tags/{tag}"


def parse_link(path: str) -> Link | None:
    """Return the link at this path, or None if the path is that of another file."""
    match = LINK.fullmatch(path)
    if match is None:
        return None
    kind = match.lastgroup or TAG
    digest = match[kind].replace("/", ":") if kind != TAG else ""
    return Link(intern(match["repository"]), kind, intern(digest), match["tag"] or "")


def parse_data(path: str) -> str | None:
    """Return the digest of the blob at this path, or None if the path is that of another file."""
    match = DATA.fullmatch(path)
    return intern(f"{match['algorithm']}:{match['hex']}") if match else None


def read_inventory(storage: Storage) -> Inventory:
    """Return the links, blobs and partial files of the registry, without reading the content of any."""
    inventory = Inventory()
    for path, size, modified in storage.entries(REPOSITORIES):
        stamp = Stamp(size, modified)
        if link := parse_link(path):
            repository = inventory.repositories.setdefault(link.repository, Repository(link.repository))
            if link.kind == TAG:
                repository.tags[link.tag] = stamp
            elif link.kind == HISTORY:
                repository.history.setdefault(link.tag, {})[link.digest] = stamp
            else:
                (repository.manifests if link.kind == MANIFEST else repository.layers)[link.digest] = stamp
        elif PARTIAL.fullmatch(path):
            inventory.partial[path] = stamp
    for path, size, modified in storage.entries(BLOBS):
        if digest := parse_data(path):
            inventory.blobs[digest] = Stamp(size, modified)
        elif PARTIAL.fullmatch(path):
            inventory.partial[path] = Stamp(size, modified)
    return inventory


def is_link_size(stamp: Stamp) -> bool:
    """Return whether a link has the size of a digest. A crash or a full disk leaves an empty one."""
    return stamp.size in (len("sha256:") + 64, len("sha512:") + 128)
