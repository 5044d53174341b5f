"""A program that makes as many registries as one wishes.

Run by Pulumi as the program of a project of its own, as `default_wait.py` is, and in front of the fake engine.
"""

import sys
from pathlib import Path

import pulumi

PROGRAM = Path(__file__).resolve().parent.parent


def make(count: int) -> None:
    """Registries that share a node and nothing else."""
    from registry import PrivateRegistry  # not above: Pulumi looks for modules in the project's folder only

    for number in range(count):
        name = f"registry-{number}"
        PrivateRegistry(name, {"namespace": name, "storage_path": f"/srv/{name}", "hostname": f"{name}.example.com"})


if __name__ == "__main__":
    sys.path.insert(0, str(PROGRAM))
    make(pulumi.Config().require_int("registries"))
