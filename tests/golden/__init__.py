"""Files that are made from the code, and compared with it: `make schema` writes them."""

import json
from pathlib import Path
from typing import Any

from registry import NodeTrust, PrivateRegistry
from registry.__main__ import NAME, Plugin

SCHEMA = Path(__file__).with_name("schema.json")
"""The schema of the components. A change of it changes programs outside of this repository."""


def current() -> dict[str, Any]:
    """Return the schema that the plugin answers, without an engine."""
    return dict(json.loads(Plugin([PrivateRegistry, NodeTrust], NAME).schema or "{}"))


def written(schema: dict[str, Any]) -> str:
    """Return the text of the file, in the order of the code."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
