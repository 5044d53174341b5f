"""Read the repositories of a registry with their tags, digests and sizes.

A mirror is asked for the names of its repositories only, because it fetches tags and manifests from its upstream.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import requests

from ..diagnosis import diagnose
from ..mode import MIRROR
from ..registry_client import CatalogDenied, RegistryClient, open_client
from .manifests import Manifest, parse_manifest, sum_up
from .target import Target

WORKERS = 4
"""Number of requests at once. More would take processor time from the clients of the registry."""

MOST_TAGS = 10_000
"""Number of tags to read at most. They make a page of about 3 MB."""

Item = TypeVar("Item")

ShowProgress = Callable[[str, Iterable[Any], int], Iterable[Any]]
"""Function that passes on the results of a step. It gets the name of the step, the results and their number."""


@dataclass(frozen=True)
class Tag:
    """A tag.

    Attributes:
        name: Name of the tag.
        digest: Digest of its manifest, or "" if it could not be read.
        size: Bytes of its manifests, configurations and layers.
        kind: Platforms of an index, the media type of an artifact, or "" for an image.
        problem: Reason why the size is unknown or incomplete, or "".
    """

    name: str
    digest: str = ""
    size: int = 0
    kind: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Repository:
    """A repository.

    Attributes:
        name: Name of the repository.
        tags: Its tags, the greatest name first. If the registry has too many tags, only the first ones.
        tag_count: Number of all its tags.
        size: Bytes of its tags. A layer that they share counts once.
        problem: Reason why its tags could not be read, or "".
    """

    name: str
    tags: Sequence[Tag] = ()
    tag_count: int = 0
    size: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Catalog:
    """The repositories of a registry.

    Attributes:
        repositories: The repositories by name.
        size: Bytes of all tags. A layer that repositories share counts once, because the registry stores it once.
        has_tags: Whether tags and sizes were read.
        note: Reason why something was not read, or "".
        remedy: Remedy if reading failed, or "".
    """

    repositories: Sequence[Repository] = ()
    size: int = 0
    has_tags: bool = False
    note: str = ""
    remedy: str = ""


class Answer(NamedTuple):
    """The answer of the registry to one request: a value, or the problem if it refused the request."""

    value: Any = None
    problem: str = ""


def read_catalog(target: Target, mode: str, show_progress: ShowProgress) -> Catalog:
    """Return the repositories, or a catalog with the reason why they cannot be read."""
    outputs = target.outputs
    if not outputs.username:
        return Catalog(
            note="Not read, because the stack has no user to log in as."
            if target.stack
            else "Not read, because the login is in the stack."
        )
    try:
        with open_client(outputs, target.address) as client:
            names = sorted(client.list_repositories())
            if mode == MIRROR:
                note = "Tags and sizes were not read, because a mirror would fetch them from its upstream."
                return Catalog([Repository(name) for name in names], note=note)
            with ThreadPoolExecutor(WORKERS) as pool:
                return _Reader(client, pool, show_progress).read(names)
    except CatalogDenied:
        note = (
            f"Not read, because the rules of `access` do not let {outputs.username} pull every repository. Only a user "
            "who may pull `**` can list the catalog."
        )
        return Catalog(note=note)
    except Exception as error:
        diagnosis = diagnose(error, outputs, outputs.describe_connection(target.address))
        return Catalog(note=diagnosis.cause, remedy=diagnosis.remedy)


def natural_order(name: str) -> list[str | int]:
    """Return a key that sorts 1.10 after 1.9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", name)]


@dataclass(frozen=True)
class _Reader:
    """Reader of tags and manifests. A refused request is a problem of its tag, and a lost connection ends the reading.

    `manifests` has the manifests by digest, because two tags with the same one need it once. None is a missing one.
    """

    client: RegistryClient
    pool: ThreadPoolExecutor
    show_progress: ShowProgress
    manifests: dict[str, Manifest | None] = field(default_factory=dict)

    def read(self, names: Sequence[str]) -> Catalog:
        """Read the repositories in three steps: their tags, the manifests of the tags, and those that indexes list."""
        tags = dict(zip(names, self._run_step("tags", self._read_tags, names), strict=True))
        most = max(1, MOST_TAGS // max(1, len(names)))
        shown = [
            (name, tag)
            for name in names
            for tag in sorted(tags[name].value or (), key=natural_order, reverse=True)[:most]
        ]
        manifests = dict(zip(shown, self._run_step("images", self._read_manifest, shown), strict=True))
        self._read_children({reference: answer.value for reference, answer in manifests.items()})
        return self._build_catalog(tags, manifests)

    def _run_step(self, title: str, read: Callable[[Item], Answer], items: Sequence[Item]) -> Iterable[Answer]:
        return self.show_progress(title, self.pool.map(read, items), len(items))

    def _read_tags(self, repository: str) -> Answer:
        try:
            return Answer(self.client.list_tags(repository))
        except requests.HTTPError as error:
            return Answer(problem=f"The registry answered {error.response.status_code} to the request for the tags.")

    def _read_manifest(self, reference: tuple[str, str]) -> Answer:
        """Read the manifest of a repository and a tag or digest. Its value is None if the registry lacks it."""
        try:
            content = self.client.read_manifest(*reference)
            return Answer(parse_manifest(content)) if content is not None else Answer()
        except requests.HTTPError as error:
            return Answer(problem=f"The registry answered {error.response.status_code} to the request for it.")
        except ValueError:
            return Answer(problem="Its manifest has no sizes.")

    def _read_children(self, parents: Mapping[tuple[str, str], Manifest | None]) -> None:
        """Read the manifests that the parents list, and those that these list."""
        self.manifests.update({parent.digest: parent for parent in parents.values() if parent})
        wanted = {
            child: repository
            for (repository, _), parent in parents.items()
            if parent
            for child in parent.children
            if child not in self.manifests
        }
        if wanted:
            references = [(repository, digest) for digest, repository in wanted.items()]
            answers = list(self._run_step("parts of indexes", self._read_manifest, references))
            found = {reference: answer.value for reference, answer in zip(references, answers, strict=True)}
            self.manifests.update({digest: manifest for (_, digest), manifest in found.items()})
            self._read_children(found)

    def _build_catalog(self, tags: Mapping[str, Answer], manifests: Mapping[tuple[str, str], Answer]) -> Catalog:
        repositories, all_blobs = [], dict[str, int]()
        shown: dict[str, list[Tag]] = {name: [] for name in tags}
        blobs: dict[str, dict[str, int]] = {name: {} for name in tags}
        for (name, tag), answer in manifests.items():
            if answer.value or answer.problem:  # a tag without either was deleted meanwhile
                needed, missing = sum_up(answer.value.digest, self.manifests) if answer.value else ({}, 0)
                blobs[name] |= needed
                shown[name].append(_build_tag(tag, answer, sum(needed.values()), missing))
        for name, answer in tags.items():
            all_blobs |= blobs[name]
            count, size = len(answer.value or ()), sum(blobs[name].values())
            repositories.append(Repository(name, shown[name], count, size, answer.problem))
        return Catalog(repositories, sum(all_blobs.values()), has_tags=True)


def _build_tag(name: str, answer: Answer, size: int, missing: int) -> Tag:
    if answer.value is None:
        return Tag(name, problem=answer.problem)
    problem = f"The registry lacks {missing} of its manifests." if missing else ""
    return Tag(name, answer.value.digest, size, answer.value.kind, problem)
