"""The section `config` of Pulumi.yaml, which describes the inputs with a default to the command line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from registry import PrivateRegistryArgs
from registry.inputs.table import DEFAULTS
from tests import golden

FILE = Path(__file__).parents[2] / "Pulumi.yaml"

TYPES = {str: "string", bool: "boolean", int: "integer", list: "array", dict: "object"}


def page() -> str:
    """Return the whole file with a new section `config`."""
    head = FILE.read_text().partition("config:\n")[0]
    descriptions = _descriptions()
    entries = [line for key, default in DEFAULTS.items() for line in _entry(key, default, descriptions[key])]
    return "".join([head, "config:\n", *entries])


def _entry(key: str, default: Any, description: str) -> Iterator[str]:
    kind = TYPES[type(default)]
    yield f"  {key}:\n    type: {kind}\n"
    if kind == "array":
        item = (
            "integer"
            if key.endswith("generations")
            else "object"
            if key in ("access", "retention", "tolerations")
            else "string"
        )
        yield f"    items:\n      type: {item}\n"
    yield f"    description: {_scalar(description)}\n"
    yield f"    default: {_scalar(default)}\n"


def _descriptions() -> dict[str, str]:
    """Return the description of each input in the schema, without its last sentence, which names the default."""
    properties = golden.current_schema()["resources"]["private-registry:index:PrivateRegistry"]["inputProperties"]
    return {
        key: str(schema["description"]).rpartition(". ")[0]
        for key, schema in zip(PrivateRegistryArgs.__annotations__, properties.values(), strict=True)
    }


def _scalar(value: Any) -> str:
    """Return a YAML scalar. Quote it as JSON if the plain text would have another meaning."""
    if isinstance(value, str) and ": " not in value and not value.startswith(("*", "-", "`")):
        return value
    return json.dumps(value, ensure_ascii=False)
