"""A program with any number of registries. It runs with Pulumi as a project, and with the fake engine."""

import sys
from pathlib import Path

import pulumi

PROJECT = Path(__file__).resolve().parent.parent


def create_registries(count: int) -> None:
    """Create registries that share only a node."""
    from registry import PrivateRegistry  # here, because Pulumi searches modules only in the folder of its project

    for number in range(count):
        name = f"registry-{number}"
        PrivateRegistry(name, {"namespace": name, "storage_path": f"/srv/{name}", "hostname": f"{name}.example.com"})


if __name__ == "__main__":
    sys.path.insert(0, str(PROJECT))
    create_registries(pulumi.Config().require_int("registries"))
