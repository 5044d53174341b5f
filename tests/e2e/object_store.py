"""Inputs, pushed images and reported faults of a registry on any object store."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ops.servers import SILENT_SECONDS
from tests.e2e.lab import ADDRESS, Registry, eventually, read_location

PREFIX = "stored/team"
"""Folder of the images in the store."""

IMAGE = "kept/stored"
"""Name of the small image."""

LAYER_BYTES = 11 << 20
"""Bytes of a layer that the registry uploads in three parts."""


def inputs_of(storage: str, namespace: str, port: int, ca_pem: str) -> dict[str, Any]:
    """Return the inputs of a Deployment in an existing namespace, with its images in the folder `PREFIX` of a store."""
    return {
        **{"namespace": namespace, "create_namespace": False, "port": port},
        **{"exposure": "external-ips", "external_ips": [ADDRESS], "workload": "deployment"},
        **{"storage": storage, f"{storage}_prefix": PREFIX, "upstream_ca": ca_pem},
    }


def push_and_verify(registry: Registry, folder: Path) -> tuple[str, list[str]]:
    """Push a small image and a large layer. Return the digest of the image, and the names of both objects."""
    digest = registry.push(IMAGE)
    assert registry.has(IMAGE, digest)
    digests = (digest, push_large_layer(registry, folder))
    verified = registry.ops("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    return digest, [f"{PREFIX}/docker/registry/v2/blobs/sha256/{each[7:9]}/{each[7:]}/data" for each in digests]


def push_large_layer(registry: Registry, folder: Path) -> str:
    """Push a layer of several parts, pull it, and return its digest."""
    layer, pulled = folder / "layer", folder / "pulled"
    layer.write_bytes(hashlib.shake_128(b"a layer").digest(LAYER_BYTES))
    digest = f"sha256:{hashlib.sha256(layer.read_bytes()).hexdigest()}"
    path = registry.start_upload("kept/large")
    patch = ("--request", "PATCH", "--upload-file", str(layer), "--dump-header", "-")
    location = read_location(registry.curl(path, *patch).stdout).removeprefix(f"https://{registry.outputs['endpoint']}")
    assert registry.status(f"{location}&digest={digest}", "--request", "PUT") == 201
    assert registry.curl(f"/v2/kept/large/blobs/{digest}", "--output", str(pulled)).returncode == 0
    assert pulled.read_bytes() == layer.read_bytes()
    return digest


def expect_report(registry: Registry, figures: Callable[[str], None], cause: str, remedy: str) -> None:
    """Check that `ops status` and `ops verify` report the cause and the remedy."""

    def is_reported() -> bool:
        done = registry.ops("status", "--no-drift", "--json")
        return done.returncode == 1 and cause in done.stdout and remedy in done.stdout

    eventually(60, f"status reports {cause}", is_reported, pause=1)
    # With the answer to a push, `ops status` knows the cause before the log of the registry has it.
    eventually(
        SILENT_SECONDS, f"verify reports {cause}", lambda: cause in registry.ops("verify", "--json").stdout, pause=1
    )
    done = registry.ops("verify", "--json")
    assert done.returncode == 1
    assert remedy in done.stdout, done.stdout
    figures(f"{next(row for row in json.loads(done.stdout)['checks'] if cause in str(row))}")
