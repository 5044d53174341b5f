"""The small image that `ops verify` pushes and pulls: one layer with one file.

Its bytes and therefore its digests never change, so a registry without deletion keeps one such image, however often it
is verified. `docker pull` accepts the image too.
"""

import hashlib
import io
import json
import tarfile

REPOSITORY = "ops-verify"
TAG = "latest"

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"


def build_layer() -> bytes:
    """Return a tar archive of one file, without date and owner."""
    text = b"Pushed and pulled by `python -m ops verify`.\n"
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        entry = tarfile.TarInfo("ops-verify.txt")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    return archive.getvalue()


def build_config() -> bytes:
    """Return the image's configuration: its platform and its layers."""
    diff_id = f"sha256:{hashlib.sha256(build_layer()).hexdigest()}"
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    return json.dumps(config, sort_keys=True).encode()


def image_size() -> int:
    """Return the size of the layer and the configuration together, in bytes."""
    return len(build_layer()) + len(build_config())
