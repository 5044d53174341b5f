"""The images of a backup: their list, and the check that a registry has them with all that they refer to."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from .api import Registry, RegistryError
from .manifests import hash_of
from .storage import StorageError
from .stored import Reader
from .survey import Survey

LIST_REPOSITORY, LIST_TAG = "private-registry/backup", "latest"
"""Repository and tag of the list of images, in the place of the backup."""

LIST_TYPE = "application/vnd.private-registry.backup.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
EMPTY_TYPE, EMPTY = "application/vnd.oci.empty.v1+json", b"{}"
"""Media type and bytes of the config of an artifact without a config (OCI image specification)."""

PARALLEL = 8
"""Images that are checked at once."""

MISSING = "the data is missing"

Item = TypeVar("Item")
Result = TypeVar("Result")


class Image(NamedTuple):
    """A manifest to copy. Without a tag, it is one that clients name by its digest."""

    repository: str
    tag: str
    digest: str

    def __str__(self) -> str:
        """Return the name as in REPOSITORY:TAG, or REPOSITORY@DIGEST without a tag."""
        return f"{self.repository}:{self.tag}" if self.tag else f"{self.repository}@{self.digest}"


class Part(NamedTuple):
    """A manifest or a blob that an image needs."""

    kind: str
    repository: str
    digest: str
    size: int


class Problem(NamedTuple):
    """A part that is missing or damaged, and the problem in words."""

    part: Part
    text: str


class Parts(NamedTuple):
    """The sizes of the blobs and of the manifests that a manifest refers to, by digest."""

    blobs: Mapping[str, int]
    manifests: Mapping[str, int]


def images_of(survey: Survey) -> list[Image]:
    """Return the images of a storage: manifests without a tag, and then all tags.

    A manifest of an index is copied with the index. The tags come last, because regsync writes a tag for a manifest
    with a subject, which the tag of the source has to replace.
    """
    tagged: list[Image] = []
    untagged: list[Image] = []
    for name, repository in sorted(survey.inventory.repositories.items()):
        if name == LIST_REPOSITORY:
            continue
        tags = survey.targets.get(name, {})
        tagged += [Image(name, tag, digest) for tag, digest in sorted(tags.items())]
        covered = {*tags.values()}
        for digest in repository.manifests:
            if digest in survey.manifests:
                covered |= survey.manifests[digest].children
        untagged += [Image(name, "", digest) for digest in sorted(repository.manifests.keys() - covered)]
    return [*untagged, *tagged]


def parts_of(content: bytes) -> Parts:
    """Return the parts of a manifest, without layers that clients download from other `urls`."""
    fields = json.loads(content)
    if not isinstance(fields, dict):
        raise ValueError("a manifest is an object")
    blobs = [fields.get("config"), *_list(fields.get("layers")), *_list(fields.get("blobs"))]
    described = (part for part in blobs if not (isinstance(part, dict) and part.get("urls")))
    return Parts(dict(_sizes(described)), dict(_sizes(_list(fields.get("manifests")))))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _sizes(descriptors: Iterable[Any]) -> Iterator[tuple[str, int]]:
    for descriptor in descriptors:
        if isinstance(descriptor, dict) and isinstance(descriptor.get("digest"), str):
            yield descriptor["digest"], int(descriptor.get("size", -1))


class Checker:
    """Check images in a registry. Each part is checked once.

    `reads_blobs` means that the bytes of all blobs are read and hashed. Otherwise only their sizes are compared.
    `manifests` is another registry to read the manifests from.
    """

    def __init__(self, registry: Reader, *, reads_blobs: bool = False, manifests: Reader | None = None) -> None:
        self._registry = registry
        self._reads_blobs = reads_blobs
        self._reader = manifests or registry
        self._manifests: dict[tuple[str, str], list[Problem]] = {}
        self._blobs: dict[tuple[str, str], list[Problem]] = {}

    def check(self, image: Image) -> list[Problem]:
        """Return the problems of an image. If its tag has another digest, that is a problem, too."""
        if image.tag:
            digest = self._registry.digest_of(image.repository, image.tag)
            if digest != image.digest:
                text = "the tag is missing" if digest is None else "the tag has another digest"
                return [Problem(Part("tag", image.repository, image.digest, -1), text)]
        return self.check_manifest(image.repository, image.digest)

    def check_manifest(self, repository: str, digest: str) -> list[Problem]:
        """Return the problems of a manifest, and of all that it refers to."""
        key = repository, digest
        if key not in self._manifests:
            self._manifests[key] = self._problems(Part("manifest", repository, digest, -1))
        return self._manifests[key]

    def _problems(self, part: Part) -> list[Problem]:
        content = self._reader.manifest(part.repository, part.digest)
        if content is None:
            return [Problem(part, MISSING)]
        try:
            if hash_of(part.digest, [content]) != part.digest:
                return [Problem(part, "the bytes do not match the digest")]
            parts = parts_of(content)
        except ValueError:
            return [Problem(part, "the manifest is not readable")]
        problems: list[Problem] = []
        for digest, size in parts.blobs.items():
            problems += self._check_blob(Part("blob", part.repository, digest, size))
        for digest in parts.manifests:
            problems += self.check_manifest(part.repository, digest)
        return problems

    def _check_blob(self, part: Part) -> list[Problem]:
        key = part.repository, part.digest
        if key not in self._blobs:
            text = self._problem_of_blob(part)
            self._blobs[key] = [Problem(part, text)] if text else []
        return self._blobs[key]

    def _problem_of_blob(self, part: Part) -> str:
        size = self._registry.blob_size(part.repository, part.digest)
        if size is None:
            return MISSING
        if -1 not in (size, part.size) and size != part.size:
            return f"the data has {size} bytes instead of {part.size}"
        if self._reads_blobs and self._registry.blob_hash(part.repository, part.digest) != part.digest:
            return "the bytes do not match the digest"
        return ""


def problems_of(checker: Checker, images: Iterable[Image]) -> dict[Image, list[Problem]]:
    """Return the images with a problem. A registry that refuses a request has a problem with the image."""

    def check(image: Image) -> tuple[Image, list[Problem]]:
        try:
            return image, checker.check(image)
        except RegistryError as error:
            if not error.is_refusal:
                raise
            return image, [Problem(Part("manifest", image.repository, image.digest, -1), str(error).rstrip("."))]

    return {image: problems for image, problems in for_each(check, images) if problems}


def for_each(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield the results of a function for all items, in their order. `PARALLEL` calls run at once."""
    with ThreadPoolExecutor(PARALLEL) as threads:
        yield from threads.map(function, items)


def write_list(registry: Registry, images: Iterable[Image]) -> None:
    """Write the list of images, as an artifact that every registry accepts."""
    content = json.dumps({"version": 1, "images": [[*image] for image in images]}).encode()
    described = [
        {"mediaType": kind, "digest": registry.put_blob(LIST_REPOSITORY, data), "size": len(data)}
        for kind, data in ((EMPTY_TYPE, EMPTY), (LIST_TYPE, content))
    ]
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": LIST_TYPE,
        "config": described[0],
        "layers": described[1:],
    }
    registry.put_manifest(LIST_REPOSITORY, LIST_TAG, json.dumps(manifest).encode(), MANIFEST_TYPE)


def read_list(registry: Registry) -> list[Image]:
    """Return the images of the last backup."""
    manifest = registry.manifest(LIST_REPOSITORY, LIST_TAG)
    if manifest is None:
        raise StorageError("The backup has no list of images, because no backup has ended there yet.")
    try:
        (digest,) = (layer["digest"] for layer in json.loads(manifest)["layers"])
        content = registry.blob(LIST_REPOSITORY, digest)
        if hash_of(digest, [content]) != digest:
            raise ValueError("the list is damaged")
        return [Image(*map(str, image)) for image in json.loads(content)["images"]]
    except (ValueError, KeyError, TypeError):
        raise StorageError("The list of images in the backup is damaged. Run another backup.") from None
