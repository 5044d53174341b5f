"""Read manifests: the blobs that an image needs, with their sizes, and the images that an index lists."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

IMAGE_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
"""Media types of the configuration of an image. Other artifacts, such as Helm charts, have another one."""

UNKNOWN_PLATFORM = "unknown/unknown"
"""Platform of an attestation, which BuildKit adds to an index for each image."""


@dataclass(frozen=True)
class Manifest:
    """A manifest.

    Attributes:
        digest: Its digest.
        blobs: Bytes of the manifest itself, its configuration and its layers, by their digests.
        kind: Platforms of an index, the media type of an artifact, or "" for an image.
        children: Digests of the manifests that it lists, if it is an index.
    """

    digest: str
    blobs: Mapping[str, int]
    kind: str = ""
    children: Sequence[str] = ()


def parse_manifest(content: bytes) -> Manifest:
    """Return the manifest. Raise ValueError if it has another form, such as the old schema 1, which has no sizes."""
    digest = f"sha256:{sha256(content).hexdigest()}"
    try:
        fields: Mapping[str, Any] = json.loads(content)
        if "manifests" in fields:
            children = fields["manifests"] or []
            return Manifest(
                digest, {digest: len(content)}, _platforms(children), [str(each["digest"]) for each in children]
            )
        config = fields["config"]
        # The registry does not store a layer with `urls`: clients fetch it from there.
        stored = [config, *(layer for layer in fields.get("layers") or [] if not layer.get("urls"))]
        sizes = {str(blob["digest"]): int(blob["size"]) for blob in stored}
        media_type = str(fields.get("artifactType") or config.get("mediaType") or "")
        return Manifest(digest, {**sizes, digest: len(content)}, "" if media_type in IMAGE_CONFIGS else media_type)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a manifest: {error!r}") from None


def sum_up(digest: str, manifests: Mapping[str, Manifest | None]) -> tuple[dict[str, int], int]:
    """Return the blobs that a manifest needs with all that it lists, and the number of those that are missing.

    `manifests` has the manifests by digest. None is a manifest that the registry lacks.
    """
    blobs: dict[str, int] = {}
    missing, seen, open_digests = 0, {digest}, [digest]
    while open_digests:
        manifest = manifests.get(open_digests.pop())
        if manifest is None:
            missing += 1
            continue
        blobs |= manifest.blobs
        new = [child for child in dict.fromkeys(manifest.children) if child not in seen]
        seen.update(new)
        open_digests += new
    return blobs, missing


def _platforms(children: Sequence[Mapping[str, Any]]) -> str:
    """Return the platforms of an index as text, such as "linux/amd64, linux/arm64"."""
    platforms = [child.get("platform") or {} for child in children]
    names = [
        "/".join(str(each[key]) for key in ("os", "architecture", "variant") if each.get(key)) for each in platforms
    ]
    return ", ".join(dict.fromkeys(name for name in names if name not in ("", UNKNOWN_PLATFORM))) or "index"
