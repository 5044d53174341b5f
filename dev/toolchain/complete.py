"""Modules that are published whole, but not all of what they need: a part is replaced before the build, in the copy.

Apart from `prepare.py`, so that a change here does not build the providers anew.
"""

import json
import re
from pathlib import Path

from dev.toolchain.golang import Go

LEGO = "github.com/go-acme/lego/v5"
"""Traefik's ACME client."""

REPLACED = "providers"
"""Its folder of DNS providers. What stands in for it lies in the sources."""


def traefik(go: Go, module: Path, _: str) -> None:
    """Put lego around what stands in for a part of it."""
    version = re.search(rf"{LEGO} (v\S+)", (module / "go.mod").read_text())
    assert version, f"{LEGO} is required"
    published = Path(json.loads(go.output("mod", "download", "-json", f"{LEGO}@{version[1]}", cwd=module))["Dir"])
    for file in published.rglob("*.go"):
        place = file.relative_to(published)
        if place.parts[0] != REPLACED:
            target = module / "lego" / place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
