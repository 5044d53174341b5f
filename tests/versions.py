"""The versions that the tests ran with: tests/versions.json, which a run with `--write-versions` writes.

The README shows them in a table. Some versions are pinned. The rest are those of Debian's packages.
"""

import json
import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from dev.toolchain.engine import PROVIDERS
from dev.toolchain.programs import KUBERNETES, OLDEST_KUBERNETES, PROGRAMS, RELEASE

FILE = Path(__file__).with_name("versions.json")
README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- versions -->\n", "<!-- /versions -->\n"
"""Lines of the README around the table."""

OLDEST = "the oldest Kubernetes"
"""Name that only a run with `K8S` writes. The table lacks it until such a run has passed."""

ROWS: Mapping[str, tuple[str, ...]] = {
    "cluster": ("Kubernetes", OLDEST, "containerd", "runc"),
    "Pulumi": ("engine", "SDK", *PROVIDERS),
    "clients": ("Docker", "Docker engine", "Docker client", "podman", "skopeo", "crane", "oras", "Helm"),
    "images": ("Distribution", "the guide's Distribution", "HAProxy", "regsync"),
    "programs": ("Python",),
}
"""Names in each row of the table."""

PINS: Mapping[str, str] = {
    "Kubernetes": KUBERNETES[RELEASE],
    OLDEST: OLDEST_KUBERNETES,
    "engine": PROGRAMS["pulumi"].version,
    "SDK": metadata.version("pulumi"),
    **{provider: PROGRAMS[f"pulumi-resource-{provider}"].version for provider in PROVIDERS},
    **{name: PROGRAMS[name].version for name in ("containerd", "crane", "oras", "regsync")},
    "Docker engine": PROGRAMS["dockerd"].version,
    "Docker client": PROGRAMS["docker"].version,
    "Helm": PROGRAMS["helm"].version,
    "Distribution": PROGRAMS["registry"].version,
    "the guide's Distribution": PROGRAMS["registry-2.7"].version,
}
"""Version of each program that this repository pins."""


def find_version(text: str) -> str:
    """Return the first version with three numbers in the output of a program: 1.1.5 of `runc version 1.1.5+ds1`."""
    version = re.search(r"\d+\.\d+\.\d+", text)
    assert version, text
    return version[0]


def read_versions() -> dict[str, str]:
    return dict(json.loads(FILE.read_text()))


def write_versions(versions: Mapping[str, str]) -> None:
    """Update the file with the versions of a run, in the order of the table. Entries of other runs stay."""
    merged = (read_versions() if FILE.exists() else {}) | dict(versions)
    ordered = {name: merged[name] for names in ROWS.values() for name in names if name in merged}
    FILE.write_text(json.dumps(ordered, indent=1) + "\n")


def page() -> str:
    """Return the README with a new table."""
    before, _, rest = README.read_text().partition(BEGIN)
    return "".join([before, BEGIN, *_table(read_versions()), END, rest.partition(END)[2]])


def _table(versions: Mapping[str, str]) -> Iterator[str]:
    yield "| tested with | versions |\n|---|---|\n"
    for title, names in ROWS.items():
        entries = ", ".join(f"{name} {versions[name]}" for name in names if name in versions)
        yield f"| {title} | {entries} |\n"
