"""Image archives with one layer: a busybox, programs and text files. No registry, Docker or network is needed.

An archive has the formats of an OCI layout and of `docker save`, so `ctr images import` and `docker load` read it.
"""

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dev import cache

FORMAT_VERSION = "1"
"""Version of the archives. Change it if this module creates another archive from the same programs."""

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
DATE = "2026-01-01T00:00:00Z"
"""Creation time of every image. It is fixed, so that equal images have equal digests."""

MEDIA_TYPE_PREFIX = "application/vnd.oci.image"


@dataclass(frozen=True)
class Image:
    """The content of an image: a busybox, and programs and text files by their paths."""

    reference: str
    busybox: Path
    programs: Mapping[str, Path] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Name of the archive. It contains a digest of the texts, and of path, size and time of each program."""
        files = {"bin/busybox": self.busybox, **self.programs}
        recipe = json.dumps(
            [FORMAT_VERSION, self.reference, dict(self.texts), dict(self.config)]
            + [[path, str(file), file.stat().st_size, file.stat().st_mtime_ns] for path, file in files.items()],
            sort_keys=True,
        )
        return f"{self.reference.rpartition('/')[2].replace(':', '-')}-{_sha256(recipe.encode())[:12]}"


def create_archive(image: Image, folder: Path) -> Path:
    """Return the archive of `image` below `folder`. Create it if it is missing."""
    return cache.ensure_folder(folder / image.key, partial(_write_archive, image)) / "image.tar"


def _write_archive(image: Image, folder: Path) -> None:
    layer = folder / "layer.tar"
    with tarfile.open(layer, "w") as tar:
        _write_layer(image, tar)
    with layer.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with tarfile.open(folder / "image.tar", "w") as tar:
        tar.add(layer, f"blobs/sha256/{digest}", filter=_normalize)
        for name, content in _metadata(image, digest, layer.stat().st_size).items():
            _add(tar, name, content)
    layer.unlink()


def _write_layer(image: Image, tar: tarfile.TarFile) -> None:
    for name, mode in {"bin": 0o755, "etc": 0o755, "tmp": 0o1777, "var": 0o755}.items():
        directory = tarfile.TarInfo(name)
        directory.type, directory.mode = tarfile.DIRTYPE, mode
        tar.addfile(directory)
    tar.add(image.busybox, "bin/busybox", filter=_normalize)
    applets = subprocess.run([image.busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    for applet in sorted({*applets} - {"busybox"}):
        link = tarfile.TarInfo(f"bin/{applet}")
        link.type, link.linkname = tarfile.SYMTYPE, "busybox"
        tar.addfile(link)
    _add(tar, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    _add(tar, "etc/group", b"root:x:0:\nnogroup:x:65534:\n")
    for path, program in image.programs.items():
        tar.add(program, path.lstrip("/"), filter=_normalize)
    for path, text in image.texts.items():
        _add(tar, path.lstrip("/"), text.encode(), 0o755 if text.startswith("#!") else 0o644)


def _metadata(image: Image, layer_digest: str, layer_size: int) -> dict[str, bytes]:
    """Return the files that describe the layer, for an OCI layout and for `docker save`."""
    config = _json(_configuration(image, layer_digest))
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{MEDIA_TYPE_PREFIX}.manifest.v1+json",
            "config": _descriptor("config.v1+json", _sha256(config), len(config)),
            "layers": [_descriptor("layer.v1.tar", layer_digest, layer_size)],
        }
    )
    names = {"org.opencontainers.image.ref.name": image.reference, "io.containerd.image.name": image.reference}
    index = {**_descriptor("manifest.v1+json", _sha256(manifest), len(manifest)), "annotations": names}
    docker_manifest = {
        "Config": f"blobs/sha256/{_sha256(config)}",
        "RepoTags": [image.reference],
        "Layers": [f"blobs/sha256/{layer_digest}"],
    }
    return {
        f"blobs/sha256/{_sha256(config)}": config,
        f"blobs/sha256/{_sha256(manifest)}": manifest,
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json({"schemaVersion": 2, "manifests": [index]}),
        "manifest.json": _json([docker_manifest]),
    }


def _configuration(image: Image, layer_digest: str) -> dict[str, Any]:
    environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *image.config.get("Env", [])]
    return {
        "architecture": ARCHITECTURE,
        "os": "linux",
        "created": DATE,
        "config": {**image.config, "Env": environment},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
        "history": [{"created": DATE, "created_by": "dev/cluster/images.py"}],
    }


def _descriptor(kind: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": f"{MEDIA_TYPE_PREFIX}.{kind}", "digest": f"sha256:{digest}", "size": size}


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _normalize(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Remove owner and time, which differ between machines, and make the file executable."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755
    return entry


def _json(content: Sequence[Any] | Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
