"""The files that the providers embed: made in the copy of the module that is built, never in the sources."""

import json
import subprocess
from pathlib import Path

from dev.toolchain.golang import Go

GENERATOR = "generator"
"""The file name that a program's generator is built under, in the copy."""


def random(_: Go, module: Path, version: str) -> None:
    _bridged_schema(module, module / "cmd/pulumi-resource-random", version)


def tls(_: Go, module: Path, version: str) -> None:
    _bridged_schema(module, module / "cmd/pulumi-resource-tls", version)


def kubernetes(go: Go, module: Path, version: str) -> None:
    """Take the schema and the mapping from the provider's own module, where they lie beside its main package."""
    main = "github.com/pulumi/pulumi-kubernetes/provider/v4/cmd/pulumi-resource-kubernetes"
    # -e: it embeds files that only its release writes, and does not compile without them.
    published = Path(go.output("list", "-e", "-f", "{{.Dir}}", main, cwd=module))
    package = module / "cmd/pulumi-resource-kubernetes"
    _stamp(published / "schema.json", package / "schema-embed.json", version)
    (package / "terraform-mapping-embed.json").write_bytes((published / "terraform-mapping.json").read_bytes())


def _bridged_schema(module: Path, target: Path, version: str) -> None:
    """Let the bridge derive the Pulumi schema from the Terraform provider."""
    options = ("--out", str(target), "--skip-docs", "--skip-examples")
    subprocess.run([module / GENERATOR, "schema", *options], cwd=module, check=True, capture_output=True, text=True)
    _stamp(target / "schema.json", target / "schema.json", version)


def _stamp(source: Path, target: Path, version: str) -> None:
    target.write_text(json.dumps(json.loads(source.read_text()) | {"version": version}))
