"""Build an image from this machine's curl and the libraries that it loads, because the tests use no public registry."""

import os
import shutil
from pathlib import Path

from dev.cluster import Cluster, images, programs
from dev.cluster.archive import Image
from dev.cluster.plan import NODES


def load_image(cluster: Cluster, reference: str) -> None:
    """Build the image, and load it into both nodes with the name `reference`, such as that of the official image."""
    built_programs = programs.provide_programs(cluster.plan.state / "programs.json")
    image = Image(f"docker.io/{reference}", Path(built_programs.busybox), _curl_files())
    for node in NODES:
        images.load_into_node(cluster.plan, built_programs, node, [image])


def _curl_files() -> dict[str, Path]:
    curl = shutil.which("curl")
    assert curl, "curl is installed, as all tests need it"
    return images.find_libraries("/usr/bin/curl", Path(curl).resolve(), os.environ)
