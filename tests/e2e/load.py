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
"""Fields of `load_clients.Results`, by the kind of the clients. They are empty until the load ends."""


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
    job = {"clients": clients, "path": path, "pause": pause, "timeout": timeout, **connection_fields(registry)}
    with run_clients(registry, CLIENTS, job) as results:
        yield results


def connection_fields(registry: Registry) -> dict[str, Any]:
    """Return the fields of a job that a program needs to connect to the registry and to log in."""
    address, _, port = registry.address.rpartition(":")
    outputs = registry.outputs
    return {
        "address": [address, int(port)],
        "host": outputs["endpoint"].rpartition(":")[0],
        "ca": outputs["ca_pem"],
        "login": f"{outputs['username']}:{outputs['password']}",
    }


@contextmanager
def run_clients(registry: Registry, program: Path, job: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Run a program on the laptop with a job until the block ends. Yield its results, which are empty until then."""
    environment = registry.project.lab.environment
    command = environment.command(sys.executable, str(program))
    results: dict[str, Any] = {}
    with subprocess.Popen(
        command, env=environment.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        try:
            yield results
        finally:
            output, _ = process.communicate()  # the program ends when its input ends
            results |= json.loads(output)


def all_failures(results: Results) -> list[str]:
    return [failure for fields in results.values() for failure in fields["failures"]]
