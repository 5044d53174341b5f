"""A registry under load, while a test changes it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.lab import Registry

CLIENTS = Path(__file__).with_name("clients.py")

Seen = dict[str, dict[str, Any]]
"""By the kind of clients, when the load has ended: `requests`, `failed`, `reopened`, `pushes`, `leaves` and `gap`."""


@contextmanager
def under_load(
    served: Registry, path: str, clients: Mapping[str, int], pause: float = 0.01, patience: float = 30
) -> Iterator[Seen]:
    """So many clients of each kind; `pause` between two requests of one, `patience` with each, both in seconds."""
    address, _, port = served.at.rpartition(":")
    asked = {
        **{"clients": clients, "path": path, "pause": pause, "patience": patience, "at": [address, int(port)]},
        **{"host": served.outputs["endpoint"].rpartition(":")[0], "ca": served.outputs["ca_pem"]},
        "login": f"{served.outputs['username']}:{served.outputs['password']}",
    }
    place = served.project.lab.place
    command = place.command(sys.executable, str(CLIENTS))
    seen: Seen = {}
    with subprocess.Popen(command, env=place.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdin
        load.stdin.write(json.dumps(asked) + "\n")
        load.stdin.flush()
        try:
            yield seen
        finally:
            answered, _ = load.communicate()
            seen |= json.loads(answered)


def failed(seen: Seen) -> list[str]:
    return [each for of_kind in seen.values() for each in of_kind["failed"]]
