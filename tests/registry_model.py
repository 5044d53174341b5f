"""A model of CNCF Distribution on a storage in memory. Each step of a push can be interleaved with other work.

The steps are those of registry/storage: blobwriter.go, linkedblobstore.go, manifeststore.go and tagstore.go.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from registry.maintenance.job.layout import HISTORY, LAYER, MANIFEST, TAG, Link, data_path
from registry.maintenance.job.storage import Entry, read

Steps = Iterator[bool]
"""Steps of a client. It yields True while the registry writes a manifest."""

DAY = 24 * 3600.0


class MemoryStorage:
    """A storage in memory with a clock, `now`, in seconds. `before_each` is called before each access of the collector.

    Args:
        keeps_times: Whether a moved file keeps its time, as in a folder. In S3 it gets a new one.
    """

    parallel = 1
    has_disk = False

    def __init__(self, *, keeps_times: bool = True) -> None:
        self.keeps_times = keeps_times
        self.files: dict[str, tuple[bytes, float]] = {}
        self.now = 1_000_000_000.0
        self.before_each: Callable[[], None] = lambda: None
        self.aborted_before = 0.0

    def entries(self, folder: str) -> Iterator[Entry]:
        self.before_each()
        for path, (content, modified) in [*self.files.items()]:
            if path.startswith(f"{folder}/"):
                yield Entry(path, len(content), modified)

    def entry(self, path: str) -> Entry | None:
        self.before_each()
        return Entry(path, len(self.files[path][0]), self.files[path][1]) if path in self.files else None

    def chunks(self, path: str) -> Iterator[bytes]:
        self.before_each()
        yield self._get(path)[0]

    def write(self, path: str, content: bytes) -> None:
        self.before_each()
        self.put(path, content)

    def move(self, path: str, target: str) -> None:
        self.before_each()
        content, modified = self._get(path)
        del self.files[path]
        self.files[target] = content, modified if self.keeps_times else self.now

    def restore(self, path: str, target: str) -> None:
        self.before_each()
        content, modified = self._get(path)
        del self.files[path]
        self.files.setdefault(target, (content, modified if self.keeps_times else self.now))

    def delete(self, path: str) -> None:
        self.before_each()
        self.files.pop(path, None)

    def remove_folder(self, folder: str) -> None:
        """Do nothing, because a folder is a part of the paths of its files."""

    def abort_uploads(self, before: float) -> int:
        self.aborted_before = before
        return 0

    def put(self, path: str, content: bytes, age: float = 0) -> None:
        """Write a file as the registry does, `age` seconds ago, without a call of `before_each`."""
        self.now += 0.001
        self.files[path] = content, self.now - age

    def _get(self, path: str) -> tuple[bytes, float]:
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path]


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def manifest_of(layers: Sequence[str], config: str, **more: Any) -> bytes:
    """Return a manifest. `more` are other fields, such as a subject."""
    described = [{"mediaType": "layer", "digest": layer, "size": 1} for layer in layers]
    return json.dumps({"schemaVersion": 2, "config": {"digest": config}, "layers": described, **more}).encode()


def index_of(manifests: Sequence[str]) -> bytes:
    return json.dumps({"schemaVersion": 2, "manifests": [{"digest": digest} for digest in manifests]}).encode()


class RefusedError(Exception):
    """The registry answers a manifest with 400, because it does not have a blob or a manifest that it names."""


class Registry:
    """A registry with the images whose manifest it has accepted. An `age` is in seconds."""

    def __init__(self, storage: MemoryStorage) -> None:
        self.storage = storage
        self.accepted: dict[tuple[str, str], str] = {}
        """Digests of accepted manifests by repository and tag. A digest is its own tag."""

    def exists(self, link: Link) -> bool:
        """Answer a HEAD: the link and the data must exist (linkedBlobStore.Stat)."""
        return link.path in self.storage.files and data_path(link.digest) in self.storage.files

    def push_blob(self, repository: str, content: bytes, age: float = 0) -> Steps:
        """Upload a layer, unless a HEAD finds it."""
        link = Link(repository, LAYER, digest_of(content))
        if self.exists(link):
            yield False
            return
        yield False
        has_data = data_path(link.digest) in self.storage.files
        yield False
        if not has_data:
            self.storage.put(data_path(link.digest), content, age)
        yield False
        self.storage.put(link.path, link.digest.encode(), age)
        yield False

    def push_manifest(self, repository: str, tag: str, content: bytes, age: float = 0) -> Steps:
        """Upload a manifest, with a tag or "". Raise `RefusedError` if a part of the image is unknown."""
        digest, fields = digest_of(content), json.loads(content)
        for part in [*fields.get("layers", []), *([fields["config"]] if "config" in fields else [])]:
            if not self.exists(Link(repository, LAYER, part["digest"])):
                raise RefusedError(part["digest"])
            yield True
        for part in fields.get("manifests", []):
            if not self.exists(Link(repository, MANIFEST, part["digest"])):
                raise RefusedError(part["digest"])
            yield True
        has_data = data_path(digest) in self.storage.files
        yield True
        if not has_data:
            self.storage.put(data_path(digest), content, age)
        yield True
        self.storage.put(Link(repository, MANIFEST, digest).path, digest.encode(), age)
        yield True
        if tag:
            self.storage.put(Link(repository, HISTORY, digest, tag).path, digest.encode(), age)
            yield True
            self.storage.put(Link(repository, TAG, tag=tag).path, digest.encode(), age)
        self.accepted[repository, tag or digest] = digest
        yield False

    def push(self, repository: str, tag: str, layers: Sequence[bytes], age: float = 0, **more: Any) -> str:
        """Push an image at once, and return the digest of its manifest. The first layer is its config."""
        for layer in layers:
            finish(self.push_blob(repository, layer, age))
        digests = [digest_of(layer) for layer in layers]
        return self.push_bytes(repository, tag, manifest_of(digests[1:], digests[0], **more), age)

    def push_bytes(self, repository: str, tag: str, manifest: bytes, age: float = 0) -> str:
        """Push a manifest or an index at once, and return its digest."""
        finish(self.push_manifest(repository, tag, manifest, age))
        return digest_of(manifest)

    def delete_tag(self, repository: str, tag: str) -> None:
        """Remove a tag, as a DELETE of the tag does (tagStore.Untag)."""
        folder = Link(repository, TAG, tag=tag).path.removesuffix("current/link")
        for path in [path for path in self.storage.files if path.startswith(folder)]:
            del self.storage.files[path]
        del self.accepted[repository, tag]

    def missing(self, repository: str, digest: str) -> list[str]:
        """Return the manifests and blobs that a pull by this digest does not get."""
        if not self.exists(Link(repository, MANIFEST, digest)):
            return [f"manifest {digest}"]
        fields: Mapping[str, Any] = json.loads(read(self.storage, data_path(digest)))
        parts = [*fields.get("layers", []), *([fields["config"]] if "config" in fields else [])]
        missing = [part["digest"] for part in parts if not self.exists(Link(repository, LAYER, part["digest"]))]
        children = (self.missing(repository, part["digest"]) for part in fields.get("manifests", []))
        return [*missing, *(item for child in children for item in child)]

    def broken(self) -> dict[tuple[str, str], list[str]]:
        """Return the missing parts of the accepted images that cannot be pulled, by repository and tag."""
        problems = {}
        for (repository, tag), digest in self.accepted.items():
            link = Link(repository, TAG, tag=tag).path
            if tag != digest and self.storage.files.get(link, (b"", 0))[0].decode() != digest:
                problems[repository, tag] = ["tag"]
            elif missing := self.missing(repository, digest):
                problems[repository, tag] = missing
        return problems


def finish(steps: Steps) -> None:
    """Take all steps."""
    for _ in steps:
        pass
