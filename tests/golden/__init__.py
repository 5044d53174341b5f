"""The components' schema, written down: whatever changes it changes programs that are not in this repository."""

import json
from pathlib import Path
from typing import Any

from registry import NodeTrust, PrivateRegistry
from registry.__main__ import NAME, Plugin

SCHEMA = Path(__file__).with_name("schema.json")


def current() -> dict[str, Any]:
    """The schema that the plugin answers, made without an engine."""
    return dict(json.loads(Plugin([PrivateRegistry, NodeTrust], NAME).schema or "{}"))


def written(schema: dict[str, Any]) -> str:
    """In the order of the code, so that a review reads it beside `registry/args.py`."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
