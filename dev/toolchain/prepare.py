"""Write the files that the providers embed, into the copy of the module that is built. The sources do not change."""

import json
import subprocess
from pathlib import Path

from dev.toolchain.golang import Go

GENERATOR = "generator"
"""File name of a program's generator in the copy of the module."""


def write_random_schema(_: Go, module: Path, version: str) -> None:
    _write_bridged_schema(module, module / "cmd/pulumi-resource-random", version)


def write_tls_schema(_: Go, module: Path, version: str) -> None:
    _write_bridged_schema(module, module / "cmd/pulumi-resource-tls", version)


def copy_kubernetes_files(go: Go, module: Path, version: str) -> None:
    """Copy the schema and the mapping from the published module, whose main package has them in its folder."""
    main = "github.com/pulumi/pulumi-kubernetes/provider/v4/cmd/pulumi-resource-kubernetes"
    # -e: the main package does not compile, because it embeds files that are not published.
    published = Path(go.output("list", "-e", "-f", "{{.Dir}}", main, cwd=module))
    package = module / "cmd/pulumi-resource-kubernetes"
    _stamp(published / "schema.json", package / "schema-embed.json", version)
    (package / "terraform-mapping-embed.json").write_bytes((published / "terraform-mapping.json").read_bytes())


def _write_bridged_schema(module: Path, target: Path, version: str) -> None:
    """Write the Pulumi schema of a Terraform provider to the folder `target`. The generator derives it."""
    options = ("--out", str(target), "--skip-docs", "--skip-examples")
    subprocess.run([module / GENERATOR, "schema", *options], cwd=module, check=True, capture_output=True, text=True)
    _stamp(target / "schema.json", target / "schema.json", version)


def _stamp(source: Path, target: Path, version: str) -> None:
    """Write the schema `source` to `target`, with the version."""
    target.write_text(json.dumps(json.loads(source.read_text()) | {"version": version}))
