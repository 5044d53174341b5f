"""The tiny image that goes into the registry and comes back: one layer of one file, the same bytes every time.

The same bytes have the same digest, so where a registry deletes nothing it holds one such image, however often it is
verified. It is a whole image: `docker pull` takes it too.
"""

import hashlib
import io
import json
import tarfile

REPOSITORY = "ops-verify"
TAG = "latest"

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"


def layer() -> bytes:
    """A tar of one file, with no date and no owner in it."""
    text = b"Pushed and pulled by `python -m ops verify`.\n"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        entry = tarfile.TarInfo("ops-verify.txt")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    return packed.getvalue()


def config() -> bytes:
    """What the image says about itself: where it runs, and which layers it is made of."""
    diff_id = f"sha256:{hashlib.sha256(layer()).hexdigest()}"
    about = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    return json.dumps(about, sort_keys=True).encode()
