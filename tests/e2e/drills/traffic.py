"""Clients that push and pull during a drill, and the check of everything that the registry accepted."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.e2e import pushers
from tests.e2e.lab import Registry
from tests.e2e.load import connection_fields, run_clients

FULL = os.environ.get("DRILLS") == "1"
"""Whether the drills have their full counts."""

LEAST_PUSHES = 10
"""Images that the registry must accept during a drill."""

Results = dict[str, Any]
"""Fields of `pushers.Results`."""


class Judgement(NamedTuple):
    """The number of images that were accepted and compared, and those that are lost or damaged."""

    accepted: int
    broken: list[str]

    def __str__(self) -> str:
        return f"{self.accepted} images accepted, {len(self.broken)} lost"


def job(registry: Registry, task: str, **more: Any) -> dict[str, Any]:
    """Return a job of pushers.py that tolerates outages."""
    defaults = {"pause": 0.02, "size": 30_000, "seed": registry.project.folder.name, "outages": True}
    return {"task": task, **connection_fields(registry), **defaults, **more}


@contextmanager
def clients(registry: Registry, task: str = "load", **more: Any) -> Iterator[Results]:
    """Run clients until the block ends, and until they have pushed some images. Then fill the results."""
    counts = {"pushers": 2, "pullers": 1, "least": LEAST_PUSHES} if task == "load" else {}
    with run_clients(registry, Path(pushers.__file__), job(registry, task, **counts, **more)) as results:
        yield results


def images_of(results: Results) -> dict[tuple[str, str], str]:
    """Return the accepted images with their digests. A tag that moves has ""."""
    return {
        (repository, tag): "" if tag.startswith("moving") else digest for repository, tag, digest in results["accepted"]
    }


def judge(registry: Registry, results: Results) -> Judgement:
    """Pull every accepted image, and compare its digests.

    A tag that moves may point at a later image, whose response was cut. So only its layers are compared.
    """
    check = [(*image, digest) for image, digest in images_of(results).items()]
    checked = run(registry, "once", check=check, outages=False)
    assert checked["pulls"] == len(check)
    assert results["accepted"], "the drill has images to compare"
    return Judgement(len(results["accepted"]), [*results["failures"], *checked["failures"]])


def run(registry: Registry, task: str, **more: Any) -> Results:
    """Run a job to its end."""
    line = json.dumps(job(registry, task, **more)) + "\n"
    done = registry.project.lab.environment.run(sys.executable, pushers.__file__, stdin=line, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def refusals(results: Mapping[str, Any]) -> str:
    """Return the refused requests by status or error, in words."""
    counts = ", ".join(f"{count} x {kind}" for kind, count in sorted(results["refused"].items()))
    return counts or "no request refused"
