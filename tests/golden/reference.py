"""docs/configuration.md: every input and output of the components, with the descriptions in the code."""

import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from registry import NodeTrust, NodeTrustArgs, PrivateRegistry, PrivateRegistryArgs, TrustedRegistryArgs, choices
from registry.inputs.args import (
    AccessRuleArgs,
    BackupArgs,
    BackupBucketArgs,
    BackupRegistryArgs,
    BackupTargetArgs,
    CertificateIssuerArgs,
    CollectArgs,
    RetentionRuleArgs,
    RobotArgs,
    ScrubArgs,
)
from registry.inputs.resolve import is_structural
from registry.inputs.table import DEFAULTS, INPUTS, Condition
from tests import golden

PAGE = Path(__file__).parents[2] / "docs/configuration.md"

INTRODUCTION = """\
# Configuration

`make schema` makes this page from [`args.py`](../registry/inputs/args.py) and
[`table.py`](../registry/inputs/table.py), and a test compares them. To choose an exposure, a storage
and a workload, read [choosing.md](choosing.md).

An input has the same name everywhere: in `pulumi config set KEY VALUE`, as an argument of
`PrivateRegistry` in Python and, in camelCase, as a property in other languages. On the command line,
write `--path 'KEY[0]'` for an item of a list and `--path KEY.NAME` for an item of a map. A list or a
map that you set replaces the whole default. Set a secret with `--secret`: plain text is refused.

An input that cannot be an Output decides which resources there are, so it must be known before
deployment. An input is refused if it would have no effect, and so is a choice without the input that
it requires.

A type such as `Exposure` is an enum, in Python and in the SDKs of other languages: the word
node-port is `Exposure.NODE_PORT`. In a config and in YAML you write the word. A Python program may
write the word too, but type checkers want the enum, so that they find a mistyped word.
"""


NODE_TRUST = """\
A component for registries of any kind: `NodeTrust("team", {"registries": [{"endpoint": a, "ca_pem": b}]})`.
Every node trusts them until you destroy it, and new nodes trust them too
([ADR 17](adr/0017-node-trust.md)).
"""


NAMES = {
    "CertificateIssuerArgs": ("map", "maps"),
    "AccessRuleArgs": ("rule", "rules"),
    "RobotArgs": ("robot", "robots"),
    "CollectArgs": ("map", "maps"),
    "RetentionRuleArgs": ("rule", "rules"),
    "ScrubArgs": ("map", "maps"),
    **dict.fromkeys(("BackupArgs", "BackupTargetArgs", "BackupBucketArgs", "BackupRegistryArgs"), ("map", "maps")),
    "TrustedRegistryArgs": ("registry", "registries"),
}
"""Singular and plural of each type of objects."""


def page() -> str:
    """Return the whole page: the inputs under the headings of their class, their combinations, and the outputs."""
    schema = golden.current_schema()
    resource = schema["resources"]["private-registry:index:PrivateRegistry"]
    inputs = dict(zip(PrivateRegistryArgs.__annotations__, resource["inputProperties"].values(), strict=True))
    lines = re.findall(r"^    (?:# (.+)|(\w+):)", inspect.getsource(PrivateRegistryArgs), re.MULTILINE)
    parts = [INTRODUCTION]
    for heading, key in lines:
        parts += [_table_head(heading, "key", "Output?", "default")] if heading else [_input(key, inputs[key])]
    outputs = dict(zip(PrivateRegistry.__annotations__, resource["properties"].values(), strict=True))
    parts += ["\n## Rules, robots and jobs\n", *_rules(schema)]
    parts += ["\n## Combinations\n\n", *_combinations(), _table_head("Outputs", "output")]
    parts += [f"| `{key}` | {_type(output)} | {output['description']} |\n" for key, output in outputs.items()]
    return "".join([*parts, *_node_trust(schema)])


def _node_trust(schema: dict[str, Any]) -> Iterator[str]:
    """Yield the section of the component NodeTrust."""
    resource = schema["resources"]["private-registry:index:NodeTrust"]
    registry = schema["types"]["private-registry:index:TrustedRegistry"]
    yield f"\n## NodeTrust\n\n{NODE_TRUST}"
    for title, args, properties in (
        ("input", NodeTrustArgs, resource["inputProperties"]),
        ("key of a registry", TrustedRegistryArgs, registry["properties"]),
        ("output", NodeTrust, resource["properties"]),
    ):
        yield f"\n| {title} | type | description |\n|---|---|---|\n"
        for key, schema_of_key in zip(args.__annotations__, properties.values(), strict=True):
            yield f"| `{key}` | {_type(schema_of_key)} | {schema_of_key['description']} |\n"


def _rules(schema: dict[str, Any]) -> Iterator[str]:
    """Yield the keys of rules, robots and jobs."""
    objects = {
        CertificateIssuerArgs: "`certificate_issuer`",
        AccessRuleArgs: "a rule of `access`",
        RobotArgs: "a robot",
        CollectArgs: "`collect`",
        RetentionRuleArgs: "a rule of `retention`",
        ScrubArgs: "`scrub`",
        BackupArgs: "`backup`",
        BackupTargetArgs: "`backup.to`",
        BackupBucketArgs: "`backup.to.s3`",
        BackupRegistryArgs: "`backup.to.registry`",
    }
    for args, name in objects.items():
        properties = schema["types"][f"private-registry:index:{args.__name__.removesuffix('Args')}"]["properties"]
        yield f"\n| key of {name} | type | description |\n|---|---|---|\n"
        for key, schema_of_key in zip(args.__annotations__, properties.values(), strict=True):
            yield f"| `{key}` | {_type(schema_of_key)} | {schema_of_key['description']} |\n"


def _table_head(heading: str, name: str, *columns: str) -> str:
    titles = [name, "type", *columns, "description"]
    return f"\n## {heading}\n\n| {' | '.join(titles)} |\n{'|---' * len(titles)}|\n"


def _input(key: str, schema: dict[str, Any]) -> str:
    pattern = r"(?:With [^:]+: )?(.+?)\. (?:Default:?|(No default))(?: (.+))?\."
    description = re.fullmatch(pattern, schema["description"])
    assert description, f"the description of {key} does not end with its default"
    summary, _, default = description.groups()
    row = INPUTS[key]
    if isinstance(DEFAULTS.get(key), str | int):
        default = f"`{default}`"
    conditions = ", or ".join(_condition(condition) for condition in row.only_with)
    cells = [
        f"`{key}`",
        _type(schema) + (", secret" if row.secret else ""),
        "no" if is_structural(key) else "yes",
        default or ("required" if row.required else "none"),
        f"With {conditions}: {summary}" if conditions else summary,
    ]
    return f"| {' | '.join(cells)} |\n"


def _condition(condition: Condition) -> str:
    if not condition.values:
        return f"`{condition.key}`"
    return f"`{condition.key}` {_join_words([str(value).lower() for value in condition.values], 'or')}"


def _type(schema: dict[str, Any], plural: str = "") -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition(":")[2]
        return f"`{name}`" if hasattr(choices, name) else NAMES[f"{name}Args"][bool(plural)]
    if of := schema.get("items") or schema.get("additionalProperties"):
        kind = {"array": "list", "object": "map"}[schema["type"]]
        return f"{kind}{plural} of {_type(of, 's')}"
    return f"{schema['type']}{plural}"


def _combinations() -> Iterator[str]:
    pairs = {tuple(sorted((key, row.both_or_neither))) for key, row in INPUTS.items() if row.both_or_neither}
    for pair in sorted(pairs):
        yield f"- {_join_words(_code(pair))}: set both, or neither.\n"
    for key, row in INPUTS.items():
        if row.replaces:
            yield f"- `{key}` replaces {_join_words(_code(row.replaces))}: set none of them with it.\n"
    existing = [key for key, row in INPUTS.items() if row.existing]
    yield f"- {_join_words(_code(existing))} name existing objects, so they need `create_namespace` false.\n"


def _code(keys: Sequence[str]) -> list[str]:
    return [f"`{key}`" for key in keys]


def _join_words(items: Sequence[str], word: str = "and") -> str:
    return f" {word} ".join(filter(None, [", ".join(items[:-1]), items[-1]]))
