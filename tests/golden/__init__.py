"""Files that are generated from the code. `make schema` writes them, and a test compares them with the code."""

import json
from pathlib import Path
from typing import Any

from registry.plugin import Plugin

SCHEMA = Path(__file__).with_name("schema.json")
"""Schema of the components. A change of it affects programs outside of this repository."""


def current_schema() -> dict[str, Any]:
    """Return the schema that the plugin would send to the engine."""
    return dict(json.loads(Plugin().schema or "{}"))


def render_schema(schema: dict[str, Any]) -> str:
    """Return the text of the schema's file, in the order of the code."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
