"""Checks of a registry on any object store: a large layer, and the report of a fault."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from ops.servers import SILENT_SECONDS
from tests.e2e.lab import Registry, eventually, read_location

LAYER_BYTES = 11 << 20
"""Bytes of a layer that the registry uploads in three parts."""


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
