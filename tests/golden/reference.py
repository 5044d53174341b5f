"""docs/configuration.md, made of what the component says of itself: nothing stands there that the code does not say."""

import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from registry import NodeTrust, NodeTrustArgs, PrivateRegistry, PrivateRegistryArgs, TrustedRegistryArgs
from registry.settings import DEFAULTS, SECRET, is_structural
from registry.validation.contradictions import BELONGS, EXISTING, INSTEAD, NEEDS, TOGETHER, Choice
from tests import golden

PAGE = Path(__file__).parents[2] / "docs/configuration.md"

INTRODUCTION = """\
# Configuration

Made by `make schema` of [`args.py`](../registry/args.py), of the defaults in [`settings.py`](../registry/settings.py)
and of the conditions in [`contradictions.py`](../registry/validation/contradictions.py); a test compares. Which
exposure, storage and workload to take: [choosing.md](choosing.md).

A key has one name: in `pulumi config set KEY VALUE`, as an argument of `PrivateRegistry` in Python and, in camelCase,
as a property in other languages. On the command line, an item of a list is `--path 'KEY[0]'`, one of a map
`--path KEY.NAME`; given, a list or a map replaces its default as a whole. A secret is set with `--secret`: in plain
text it is refused. An input that cannot be an Output shapes the graph and has to be known before deployment.

A key is refused beside a choice with which it would mean nothing, and so is a choice without the key that it requires.
"""


NODE_TRUST = """\
A component of its own, for registries of any kind: `NodeTrust("team", {"registries": [{"endpoint": a, "ca_pem": b}]})`.
Every node trusts them, also one that joins later, until it is destroyed ([ADR 17](adr/0017-node-trust.md)).
"""


def page() -> str:
    """The whole page: the inputs by the headings in their class, what goes together, and the outputs."""
    schema = golden.current()
    resource = schema["resources"]["private-registry:index:PrivateRegistry"]
    inputs = dict(zip(PrivateRegistryArgs.__annotations__, resource["inputProperties"].values(), strict=True))
    lines = re.findall(r"^    (?:# (.+)|(\w+):)", inspect.getsource(PrivateRegistryArgs), re.MULTILINE)
    parts = [INTRODUCTION]
    for heading, key in lines:
        parts += [_headed(heading, "key", "Output?", "default")] if heading else [_input(key, inputs[key])]
    outputs = dict(zip(PrivateRegistry.__annotations__, resource["properties"].values(), strict=True))
    parts += ["\n## What goes together\n\n", *_together(), _headed("Outputs", "output")]
    parts += [f"| `{key}` | {_type(each)} | {each['description']} |\n" for key, each in outputs.items()]
    return "".join([*parts, *_node_trust(schema)])


def _node_trust(schema: dict[str, Any]) -> Iterator[str]:
    """The other component, which a program may use alone."""
    resource = schema["resources"]["private-registry:index:NodeTrust"]
    registry = schema["types"]["private-registry:index:TrustedRegistryArgs"]
    yield f"\n## NodeTrust\n\n{NODE_TRUST}"
    for what, args, properties in (
        ("input", NodeTrustArgs, resource["inputProperties"]),
        ("of a registry", TrustedRegistryArgs, registry["properties"]),
        ("output", NodeTrust, resource["properties"]),
    ):
        yield f"\n| {what} | type | what it is |\n|---|---|---|\n"
        for key, each in zip(args.__annotations__, properties.values(), strict=True):
            yield f"| `{key}` | {_type(each)} | {each['description']} |\n"


def _headed(heading: str, name: str, *columns: str) -> str:
    titles = [name, "type", *columns, "what it is"]
    return f"\n## {heading}\n\n| {' | '.join(titles)} |\n{'|---' * len(titles)}|\n"


def _input(key: str, schema: dict[str, Any]) -> str:
    said = re.fullmatch(r"(?:With [^:]+: )?(.+?)\. (?:Default:?|(No default))(?: (.+))?\.", schema["description"])
    assert said, f"{key} says what it is, then its default"
    what, _, default = said.groups()
    if isinstance(DEFAULTS.get(key), str | int):
        default = f"`{default}`"
    cells = [
        f"`{key}`",
        _type(schema) + (", secret" if key in SECRET else ""),
        "no" if is_structural(key) else "yes",
        default or ("required" if key in NEEDS.values() else "none"),
        (f"With {', or '.join(map(_choice, BELONGS[key]))}: {what}" if key in BELONGS else what),
    ]
    return f"| {' | '.join(cells)} |\n"


def _choice(choice: Choice) -> str:
    if not choice.values:
        return f"`{choice.key}`"
    return f"`{choice.key}` {_listed([str(value).lower() for value in choice.values], 'or')}"


def _type(schema: dict[str, Any], plural: str = "") -> str:
    if "$ref" in schema:
        return f"registr{'ies' if plural else 'y'}"
    if of := schema.get("items") or schema.get("additionalProperties"):
        kind = {"array": "list", "object": "map"}[schema["type"]]
        return f"{kind}{plural} of {_type(of, 's')}"
    return f"{schema['type']}{plural}"


def _together() -> Iterator[str]:
    for pair in sorted({tuple(sorted(pair)) for pair in TOGETHER}):
        yield f"- {_listed(_code(pair))}: both, or neither.\n"
    for key, others in INSTEAD.items():
        yield f"- Beside `{key}` these are left out: {_listed(_code(others))}.\n"
    yield f"- {_listed(_code(EXISTING))} name objects that are there before: they take `create_namespace` false.\n"


def _code(keys: Sequence[str]) -> list[str]:
    return [f"`{key}`" for key in keys]


def _listed(items: Sequence[str], word: str = "and") -> str:
    return f" {word} ".join(filter(None, [", ".join(items[:-1]), items[-1]]))
