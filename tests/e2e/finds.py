"""Configurations on which the rules and a judge disagreed: `make soak` adds them, `make test` judges them again."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.e2e.lab import SOAK

FILE = Path(__file__).with_name("finds.json")


def known() -> list[dict[str, Any]]:
    return list(json.loads(FILE.read_text()))


def remember(configurations: Iterable[dict[str, Any]]) -> str:
    """In a soak, write them to the file that every later run reads. Return what a person does next."""
    if not SOAK:
        return ""
    kept = known()
    kept += [each for each in configurations if each not in kept]
    FILE.write_text(json.dumps(kept, indent=2, ensure_ascii=True) + "\n")
    return f"Added to {FILE.name}: mend the rule, then commit the file, and every `make test` judges it.\n"
