"""Configurations about which the rules and a judge of oracles.py disagreed.

`make soak` adds such a configuration to a file, and every later run judges it again.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.e2e.lab import SOAK

FILE = Path(__file__).with_name("counterexamples.json")


def read_all() -> list[dict[str, Any]]:
    return list(json.loads(FILE.read_text()))


def add(configurations: Iterable[dict[str, Any]]) -> str:
    """Add configurations to the file in a soak. Return the next step for the reader of the failure, or ""."""
    if not SOAK:
        return ""
    all_configurations = read_all()
    all_configurations += [configuration for configuration in configurations if configuration not in all_configurations]
    FILE.write_text(json.dumps(all_configurations, indent=2, ensure_ascii=True) + "\n")
    return f"Added to {FILE.name}. Correct the rule, then commit the file.\n"
