"""An example of a status report and of a catalog, for tests of the page and for its picture in the docs.

`python -m tests.status_example docs` writes the picture docs/status.png.
"""

import random
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from PIL import Image

from ops.stack import Outputs
from ops.status import STACK_CHECKS, TLS_CHECKS, Row
from ops.status.catalog import Catalog, Repository, Tag
from ops.status.facts import (
    CertificateAuthority,
    JobState,
    NodeTrust,
    PushState,
    SecretState,
    ServerCertificate,
    StackSettings,
    VolumeState,
)
from ops.status.page import render_page
from ops.status.target import Target
from ops.volume import DiskSpace
from tests.browser import open_browser

NOW = datetime(2026, 11, 27, 9, 30, tzinfo=UTC)

PASSWORD = "example-3Fq8Wn1Zr5Tb7Kx2"

GIB = 2**30

COLLECTED = {"task": "collect", "bytes_freed": 1_480_000_000, "tags_removed": 14, "blobs_removed": 61}
SCRUBBED = {"task": "scrub", "blobs_checked": 812, "bytes_checked": 9_300_000_000}
COPIED = {"task": "backup", "images": 57, "copied": 6, "bytes_copied": 412_000_000}

FACTS: Mapping[str, Any] = {
    "users": ["centos", "ci"],
    "image": ["registry:3.1.2"],
    "push": PushState("read-write"),
    "space": DiskSpace(80 * GIB, 52 * GIB, 5_242_880, 5_190_112, node="k8s-master", folder="/var/lib/docker-registry"),
    "volume": VolumeState("docker-registry", "docker-registry", (), True),
    "restarts": [],
    "secrets": [SecretState(name, "") for name in ("auth-secret", "cert-secret", "configuration-secret")],
    "servers": [],
    "nodes": NodeTrust(2, 3, {"k8s-master": True, "k8s-worker-1": True, "k8s-worker-2": False}),
    "collect": JobState(
        "docker-registry-collect", 7, "", False, COLLECTED, False, "30 2 * * *",
        "2026-11-27T02:31:12+00:00", "2026-11-28T02:30:00+00:00",
    ),
    "scrub": JobState(
        "docker-registry-scrub", 29, "", False, SCRUBBED, False, "0 4 * * 4",
        "2026-11-26T04:22:40+00:00", "2026-12-03T04:00:00+00:00",
    ),
    "backup": JobState(
        "docker-registry-backup", 8, "", False, COPIED, False, "30 1 * * *",
        "2026-11-27T01:33:05+00:00", "2026-11-28T01:30:00+00:00",
    ),
    "drift": {},
}  # fmt: skip
"""Facts of the rows of a stack, by their keys."""

LEAF = ServerCertificate(21.4, "docker-registry CA", True, sha256(b"leaf").hexdigest())

AUTHORITIES = [CertificateAuthority("docker-registry CA", 1, 3627.0)]

DESKTOP_WIDTH, PHONE_WIDTH, GAP, PICTURE_HEIGHT = 1000, 360, 24, 1130
"""Pixels of the picture: the widths of both windows, the gap between them, and their height."""

INDEX = "linux/amd64, linux/arm64"


def target() -> Target:
    """Return the registry of the report."""
    outputs = Outputs("docker-registry:5000", "", "centos", PASSWORD, "docker-registry")
    settings = StackSettings(renew_before_days=30, ca_generations=[1])
    result = Target(outputs, "dev", ("centos", "ci"), settings)
    vars(result).update(server_certificate=LEAF, authorities=AUTHORITIES)  # values that are read once
    return result


def rows(**facts: Any) -> list[Row]:
    """Return the rows of the report. `facts` replace those of the example."""
    registry = target()
    values = {"leaf": LEAF, "authorities": AUTHORITIES, "rotation": [1], **FACTS, **facts}
    checks = {**TLS_CHECKS, **STACK_CHECKS}
    return [Row(key, check.title, values[key], check.rate(values[key], registry)) for key, check in checks.items()]


def tag(repository: str, name: str, megabytes: float, kind: str = "") -> Tag:
    """Return a tag with a digest of its own."""
    return Tag(name, f"sha256:{sha256(f'{repository}:{name}'.encode()).hexdigest()}", int(megabytes * 2**20), kind)


def repository(name: str, megabytes: float, *tags: Tag) -> Repository:
    return Repository(name, tags, len(tags), int(megabytes * 2**20))


def catalog() -> Catalog:
    """Return the repositories of a small team."""
    chart = "application/vnd.cncf.helm.config.v1+json"
    contents: Mapping[str, tuple[float, Mapping[str, float], str]] = {
        "base/python": (402, {"3.13-slim": 201.6, "3.12-slim": 200.9}, INDEX),
        "charts/shop": (0.021, {"0.8.1": 0.011, "0.8.0": 0.011}, chart),
        "ops-verify": (0.0007, {"latest": 0.0007}, ""),
        "shop/api": (143.7, {f"1.{minor}.{patch}": 96.4 + patch for minor in (9, 8) for patch in (2, 1, 0)}, ""),
        "shop/web": (391.5, {"latest": 186.2, "2.14.0": 186.2, "2.13.0": 186.1, "2.12.1": 185.6}, INDEX),
        "tools/backup": (58.2, {"2026-11-20": 58.2}, ""),
    }
    repositories = [
        repository(name, total, *(tag(name, label, size, kind) for label, size in sizes.items()))
        for name, (total, sizes, kind) in contents.items()
    ]
    return Catalog(repositories, int(870.4 * 2**20), has_tags=True)


def large_catalog(repositories: int, tags: int) -> Catalog:
    """Return many repositories. Their names have all lengths that the registry allows."""
    rng = random.Random(7)
    items = []
    for number in range(repositories):
        name = f"team-{number % 40:02}/{'very-long-name-' * (number % 12)}service-{number:04}"
        items.append(
            repository(
                name, rng.uniform(1, 900), *(tag(name, f"1.{minor}", rng.uniform(1, 400)) for minor in range(tags))
            )
        )
    return Catalog(items, 200 * GIB, has_tags=True)


def page(report: list[Row] | None = None, images: Catalog | None = None, now: datetime = NOW) -> str:
    """Return the page of the example, or of other rows and repositories."""
    return render_page(report or rows(), target(), images or catalog(), now)


def write_picture(folder: Path) -> None:
    """Write a picture of the page on a desktop and on a phone, with few colours so that the file is small."""
    whole = Image.new("RGB", (DESKTOP_WIDTH + GAP + PHONE_WIDTH, PICTURE_HEIGHT), "white")
    with tempfile.TemporaryDirectory() as temporary, open_browser() as browser:
        html, shot = Path(temporary) / "status.html", Path(temporary) / "shot.png"
        html.write_text(page())
        # The page shows its age if it is hours old.
        clock = f"Date.now = () => {NOW.timestamp() * 1000};"
        browser.send("Page.addScriptToEvaluateOnNewDocument", source=clock)
        browser.open(html, DESKTOP_WIDTH, PICTURE_HEIGHT)
        browser.screenshot(shot)
        _paste(whole, shot, 0)
        browser.open(html, PHONE_WIDTH, PICTURE_HEIGHT, scheme="dark")
        browser.run("document.querySelectorAll('summary')[4].click()")
        browser.run("document.getElementById('repositories').scrollIntoView()")
        browser.screenshot(shot)
        _paste(whole, shot, DESKTOP_WIDTH + GAP)
    whole.quantize(96).save(folder / "status.png", optimize=True)


def _paste(whole: Image.Image, shot: Path, left: int) -> None:
    with Image.open(shot) as image:
        whole.paste(image, (left, 0))


if __name__ == "__main__":
    write_picture(Path(sys.argv[1]))
