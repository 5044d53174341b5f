"""Copy only those files of some modules that the programs need.

The other files need modules that are not published, need other versions, or take minutes to compile for features that
no test uses. Small packages in modules/current/stand_ins replace those that a program imports. They refuse to work.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dev.toolchain.golang import Go


@dataclass(frozen=True)
class PartialModule:
    """A published module that is copied in part into its folder in stand_ins."""

    path: str
    folder: str
    patterns: tuple[str, ...] = ("**/*.go",)
    """Glob patterns of the files that are copied."""
    excluded_folders: tuple[str, ...] = ()
    """Top-level folders that are not copied."""


PARTIAL_MODULES = (
    # Traefik's ACME client, without its DNS providers. They need SDKs that no module proxy has.
    PartialModule("github.com/go-acme/lego/v5", "lego", excluded_folders=("providers",)),
    # The SDK of the Kubernetes provider, without its types: 28 MB of Go. Only charts and YAML files that the provider
    # renders itself need them.
    PartialModule(
        "github.com/pulumi/pulumi-kubernetes/sdk/v4",
        "kubernetes-sdk",
        patterns=("go/kubernetes/*.go", "go/kubernetes/utilities/*.go", "go/kubernetes/helm/v4/*.go"),
    ),
    # Two functions that the Kubernetes provider calls. The other files need another version of the Kubernetes API.
    PartialModule("github.com/fluxcd/pkg/ssa", "ssa", patterns=("patch.go",)),
)


def copy_parts(go: Go, module: Path) -> None:
    """Copy the needed files into the folder stand_ins of `module`, if its go.mod replaces their modules."""
    requirements = (module / "go.mod").read_text()
    for part in PARTIAL_MODULES:
        if f"{part.path} => ./stand_ins/{part.folder}" not in requirements:
            continue
        version = re.search(rf"{part.path} (v\S+)", requirements)
        assert version, f"go.mod replaces {part.path} without requiring it"
        published = Path(
            json.loads(go.output("mod", "download", "-json", f"{part.path}@{version[1]}", cwd=module))["Dir"]
        )
        for file in _find_files(part, published):
            target = module / "stand_ins" / part.folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((published / file).read_bytes())


def _find_files(part: PartialModule, published: Path) -> Iterator[Path]:
    for pattern in part.patterns:
        for file in published.glob(pattern):
            relative = file.relative_to(published)
            if relative.parts[0] not in part.excluded_folders:
                yield relative
