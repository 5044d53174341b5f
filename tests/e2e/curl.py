"""An image with curl, under the name that everybody pulls: the machine's own curl, and the libraries it loads."""

import re
import shutil
import subprocess
from pathlib import Path

from dev.cluster import Cluster, images, programs
from dev.cluster.archive import Image
from dev.cluster.plan import NODES


def load(cluster: Cluster, reference: str) -> None:
    """Have both nodes know it as `reference`."""
    found = programs.provide_programs(cluster.plan.state / "programs.json")
    image = Image(f"docker.io/{reference}", Path(found.busybox), _curl())
    for node in NODES:
        images.load_into_node(cluster.plan, found, node, [image])


def _curl() -> dict[str, Path]:
    curl = shutil.which("curl")
    assert curl, "the machine has curl, which the tests use too"
    listed = subprocess.run(["ldd", curl], check=True, capture_output=True, text=True).stdout
    libraries = re.findall(r"(/\S+) \(0x", listed)
    return {"/usr/bin/curl": Path(curl).resolve(), **{each: Path(each).resolve() for each in libraries}}
