"""Manifests: the digests that they refer to."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from sys import intern
from typing import Any, NamedTuple

from .layout import DIGEST

MOST_BYTES = 32 << 20
"""Bytes of the largest manifest. CNCF Distribution accepts at most 4 MiB (handlers/manifests.go)."""


class Manifest(NamedTuple):
    """The digests in a manifest.

    Attributes:
        references: Every digest in it but that of its subject.
        subject: Digest of the manifest that it describes, such as a signed image, or "". The registry may lack it.
        layers: Digests of the config and of the layers, without layers that clients download from other `urls`.
        children: Digests of the manifests of an index.
    """

    references: frozenset[str]
    subject: str = ""
    layers: frozenset[str] = frozenset()
    children: frozenset[str] = frozenset()


def parse_manifest(content: bytes) -> Manifest:
    """Return the digests in the bytes of a manifest.

    The references are found without reading its format. So a manifest of an unknown kind, or one that names digests in
    its annotations, keeps everything that it may refer to.
    """
    text = content.decode(errors="replace")
    try:
        fields = json.loads(text)
    except ValueError:
        fields = {}
    if not isinstance(fields, dict):
        fields = {}
    found = [intern(digest) for digest in DIGEST.findall(text)]
    subject = _digest(fields.get("subject"))
    if subject in found:
        found.remove(subject)  # only once, because the manifest may name it as something else too
    parts = [fields.get("config"), *_list(fields.get("layers")), *_list(fields.get("blobs"))]
    layers = (_digest(part) for part in parts if not (isinstance(part, dict) and part.get("urls")))
    children = (_digest(part) for part in _list(fields.get("manifests")))
    known = frozenset(found)
    return Manifest(known, subject, frozenset(layers) & known, frozenset(children) & known)


def hash_of(digest: str, chunks: Iterable[bytes]) -> str:
    """Return the digest of the chunks, by the algorithm of `digest`. Raise ValueError if the algorithm is unknown."""
    algorithm = digest.partition(":")[0]
    hasher = hashlib.new(algorithm)
    for chunk in chunks:
        hasher.update(chunk)
    return f"{algorithm}:{hasher.hexdigest()}"


def closure(start: Iterable[str], manifests: Mapping[str, Manifest]) -> set[str]:
    """Return the manifests of `start`, and all that they refer to. Digests that `manifests` lacks are left out."""
    reached: set[str] = set()
    waiting = [digest for digest in start if digest in manifests]
    while waiting:
        digest = waiting.pop()
        if digest not in reached:
            reached.add(digest)
            waiting += [other for other in manifests[digest].references if other in manifests]
    return reached


def _digest(descriptor: Any) -> str:
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    return digest if isinstance(digest, str) else ""


def _list(value: Any) -> Iterator[Any]:
    yield from value if isinstance(value, list) else []
