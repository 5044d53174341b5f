"""Put a registry under load while a test changes it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.lab import Registry

CLIENTS = Path(__file__).with_name("load_clients.py")

Results = dict[str, dict[str, Any]]
"""Fields of `load_clients.Results`, by kind of clients. It is empty until the load ends."""


@contextmanager
def under_load(
    registry: Registry, path: str, clients: Mapping[str, int], pause: float = 0.01, timeout: float = 30
) -> Iterator[Results]:
    """Run a number of clients of each kind until the block ends.

    Args:
        registry: The registry under load.
        path: Path of the blob that the clients read.
        clients: Number of clients by kind.
        pause: Seconds between two requests of one client.
        timeout: Seconds that a client waits for a response.
    """
    job = {"clients": clients, "path": path, "pause": pause, "timeout": timeout, **connection(registry)}
    with run_clients(registry, CLIENTS, job) as results:
        yield results


def connection(registry: Registry) -> dict[str, Any]:
    """Return the fields of a job that a program needs to connect to the registry and to log in."""
    address, _, port = registry.address.rpartition(":")
    return {
        **{"address": [address, int(port)], "host": registry.outputs["endpoint"].rpartition(":")[0]},
        **{"ca": registry.outputs["ca_pem"], "login": f"{registry.outputs['username']}:{registry.outputs['password']}"},
    }


@contextmanager
def run_clients(registry: Registry, program: Path, job: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Run a program with a job until the block ends. Yield its results, which are empty until then."""
    environment = registry.project.lab.environment
    command = environment.command(sys.executable, str(program))
    results: dict[str, Any] = {}
    with subprocess.Popen(
        command, env=environment.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as load:
        assert load.stdin
        load.stdin.write(json.dumps(job) + "\n")
        load.stdin.flush()
        try:
            yield results
        finally:
            output, _ = load.communicate()
            results |= json.loads(output)


def all_failures(results: Results) -> list[str]:
    return [failure for of_kind in results.values() for failure in of_kind["failures"]]
