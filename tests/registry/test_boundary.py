"""A value has the same effect as plain value, Output or secret, and from a program in another language.

The plugin gets values as JSON. Numbers arrive as floats, names in camelCase, and secrets and Outputs as marked objects.
A new input needs a row in tests/examples.py.
"""

import json
import re
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple, cast

import pulumi
import pytest
from google.protobuf.struct_pb2 import Struct  # type: ignore[import-untyped]
from pulumi.errors import InputPropertiesError
from pulumi.runtime import rpc

from registry import PrivateRegistry, PrivateRegistryArgs
from registry.inputs.table import CROSS_FIELD_RULES, DEFAULTS
from registry.plugin import Plugin
from registry.preflight import duplicates
from registry.validation import InvalidInput
from tests import golden
from tests.conftest import SOAK, Engine, attach, to_base64
from tests.examples import CA, EXAMPLES, accepts, companions, compatible_groups
from tests.issuing import google_key, issue, server_spec

SERVER_CERTIFICATE = issue(server_spec("docker-registry", "docker-registry.docker-registry.svc"), CA)
LIVE: dict[str, Any] = {
    "registry-tls-from-kubectl-get-secrets": {
        "data": {
            "tls.crt": to_base64(SERVER_CERTIFICATE.pem + CA.pem),
            "tls.key": to_base64(SERVER_CERTIFICATE.key_pem),
        }
    },
    "registry-auth-from-kubectl-get-secrets": {"data": {"registry.password": to_base64(f"jean:$2b$05${'a' * 53}")}},
    "registry-data-from-kubectl-get-secrets": {
        "data": {
            **{"access-key": to_base64("AKIA2"), "secret-key": to_base64("hunter24")},
            "account-key": to_base64("hunter26"),
            "key.json": to_base64(json.dumps(google_key())),
        }
    },
    "registry-backup-from-kubectl-get-secrets": {
        "data": {"username": to_base64("ci"), "password": to_base64("hunter25")}
    },
}
"""Existing objects, by name of their lookup."""

PLUGIN = Plugin()
TOKEN, SCHEMA = next(iter(golden.current_schema()["resources"].items()))
DEFINITION = PLUGIN.analyzer.analyze_component(PrivateRegistry)
WIRE_NAMES = {python: wire for wire, python in DEFINITION.inputs_mapping.items()}
MAY_BE_OUTPUTS = [key for key, wire in WIRE_NAMES.items() if not SCHEMA["inputProperties"][wire].get("plain")]
"""Inputs that may be Outputs. The schema marks all other inputs as plain, because they decide the resources."""

INPUTS_WITH_LONG_FIELDS = ("collect", "retention", "scrub")
"""Inputs whose fields have names of several words."""

Inputs = dict[str, Any]


class Graph(NamedTuple):
    """The sorted resources of a program, with secrets in plain text, and the outputs of its component."""

    resources: list[tuple[str, str, Any]]
    outputs: dict[str, Any]


def json_value(value: Any) -> Any:
    return value


def json_output(value: Any) -> Any:
    return {rpc._special_sig_key: rpc._special_output_value_sig, "value": value, "dependencies": ["urn:of:another"]}


def json_secret(value: Any) -> Any:
    return {rpc._special_sig_key: rpc._special_secret_sig, "value": value}


def test_the_table_has_every_argument_and_no_default() -> None:
    assert set(EXAMPLES) == set(PrivateRegistryArgs.__annotations__) == set(WIRE_NAMES)
    assert not [key for key, value in EXAMPLES.items() if value == DEFAULTS.get(key)]
    assert sorted(EXAMPLES) == sorted(key for keys in compatible_groups() for key in keys)


SMALL: Inputs = {
    "create_namespace": False,
    "users_secret": "my-users",
    "storage": "s3",
    "s3_bucket": "images",
    "run_as_user": 0,
    "limits": {"memory": "512Mi"},
}
"""Inputs of a registry with few resources, so that it is deployed faster. They change no default of another input."""


@pytest.mark.parametrize("key", EXAMPLES)
def test_an_argument_changes_the_graph(key: str) -> None:
    others = companions(key)
    if key not in SMALL and accepts(SMALL | others | {key: EXAMPLES[key]}):
        others = SMALL | others
    try:
        without = graph_of_json(json.dumps(others))
    except InvalidInput:
        return  # the companions are refused without the key, so there is no graph to compare with
    assert graph_of_json(json.dumps(others | {key: EXAMPLES[key]})) != without


@pytest.mark.parametrize("keys", CROSS_FIELD_RULES.values(), ids=" ".join)
def test_a_rule_holds_back_no_plain_value_for_an_output(keys: tuple[str, ...]) -> None:
    """A plain value that became an Output would be true in every `if`."""
    assert keys[0] in MAY_BE_OUTPUTS or not {*keys} & {*MAY_BE_OUTPUTS}


@pytest.mark.parametrize("way", ["output", "secret", "json", "json output", "json secret"])
def test_a_value_results_in_the_same_graph_whichever_way_it_is_passed(way: str) -> None:
    groups = [(key,) for key in EXAMPLES] if SOAK else compatible_groups()
    assert [key for keys in groups for key in differing_keys(keys, *WAYS[way])] == []


def test_only_the_key_that_results_in_another_graph_is_reported() -> None:
    def call(args: Inputs) -> Inputs:
        return in_process({**args, "port": 5002} if "port" in args else args)

    assert differing_keys(("node", "port", "metrics"), call, json_value) == ["port"]


def test_a_program_in_another_language_gets_every_output() -> None:
    assert graph(lambda: as_plugin({})).outputs.keys() == SCHEMA["properties"].keys()


def test_a_program_in_another_language_gets_a_refusal_as_message() -> None:
    with pytest.raises(InputPropertiesError) as refusal:
        graph(lambda: as_plugin({"port": 70000}))
    assert refusal.value.message.startswith("`port` must be ")
    assert "\n" not in refusal.value.message
    assert refusal.value.errors == []


@pytest.mark.parametrize(
    ("shared", "key"),
    [({"namespace": "team"}, "namespace"), ({"storagePath": "/srv/team"}, "storage_path")],
)
def test_the_second_registry_of_a_program_in_another_language_is_refused_what_the_first_reserves(
    monkeypatch: pytest.MonkeyPatch, shared: Inputs, key: str
) -> None:
    """A plugin process serves one run of a program, with a connection to the engine for each registry."""
    monkeypatch.setattr(duplicates, "_reserved_in_process", {})

    def program() -> Inputs:
        for name in ("first", "second"):
            wire = Struct()
            wire.update({"namespace": name, "storagePath": f"/srv/{name}", **shared})
            outputs = dict(PLUGIN.construct(name, TOKEN, rpc.deserialize_properties(wire)).state)
        return outputs

    with pytest.raises((InputPropertiesError, InvalidInput), match=f"`{key}` reserves "):
        graph(program)


def example_inputs(keys: tuple[str, ...], wrap: Callable[[Any], Any]) -> Inputs:
    """Return the examples of the keys and their companions. Wrap the examples that may be Outputs."""
    inputs = {name: value for key in keys for name, value in companions(key).items()}
    return inputs | {key: wrap(EXAMPLES[key]) if key in MAY_BE_OUTPUTS else EXAMPLES[key] for key in keys}


def differing_keys(
    keys: tuple[str, ...], call: Callable[[Inputs], Inputs], wrap: Callable[[Any], Any]
) -> list[tuple[str, ...] | str]:
    """Return the keys whose graph differs from that of their plain values, or the group if no single key differs."""

    def differs(keys: tuple[str, ...]) -> bool:
        # The run creates the Outputs, because they belong to its event loop.
        return graph(lambda: call(example_inputs(keys, wrap))) != plain_graph(*keys)

    if not differs(keys):
        return []
    return [key for key in keys if differs((key,))] or [keys]


@cache
def plain_graph(*keys: str) -> Graph:
    return graph(partial(in_process, example_inputs(keys, json_value)))


@cache
def graph_of_json(args: str) -> Graph:
    """Return the graph of these arguments, which are JSON so that they can be a key of the cache."""
    return graph(partial(in_process, json.loads(args)))


def in_process(args: Inputs) -> Inputs:
    component = PrivateRegistry("registry", cast(PrivateRegistryArgs, args))
    return {wire: getattr(component, python) for wire, python in DEFINITION.outputs_mapping.items()}


def as_plugin(args: Inputs) -> Inputs:
    """Send the inputs to the SDK's plugin server. Return the state that it answers."""
    wire = Struct()
    wire.update(
        {
            WIRE_NAMES[key]: in_camel_case(value) if key in INPUTS_WITH_LONG_FIELDS else value
            for key, value in args.items()
        }
    )
    inputs = {key: select_value(value) for key, value in rpc.deserialize_properties(wire, keep_unknowns=True).items()}
    return dict(PLUGIN.construct("registry", TOKEN, inputs).state)


def in_camel_case(value: Any) -> Any:
    """Return the value of an input with the names of fields that other languages use."""
    if isinstance(value, list):
        return [in_camel_case(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {re.sub("_(.)", lambda match: match[1].upper(), key): in_camel_case(item) for key, item in value.items()}


def select_value(value: Any) -> Any:
    """Convert a secret input like `_select_value` of the plugin server."""
    return pulumi.Output.secret(rpc.unwrap_rpc_secret(value)) if rpc.is_rpc_secret(value) else value


WAYS: dict[str, tuple[Callable[[Inputs], Inputs], Callable[[Any], Any]]] = {
    "output": (in_process, pulumi.Output.from_input),
    "secret": (in_process, pulumi.Output.secret),
    "json": (as_plugin, json_value),
    "json output": (as_plugin, json_output),
    "json secret": (as_plugin, json_secret),
}
"""Ways to call the component, and the function that wraps a value which may be an Output, by name."""


def graph(program: Callable[[], Inputs]) -> Graph:
    """Run a program that returns the outputs of its component."""
    engine = Engine(live=dict(LIVE))
    attach(engine)
    outputs: Inputs = {}

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def main() -> Any:
        return pulumi.Output.all(**program()).apply(outputs.update)

    main()
    # The post-renderer of the lookups names a temporary file.
    inputs = [{key: value for key, value in each.inputs.items() if key != "postRenderer"} for each in engine.resources]
    resources = [
        (each.type, each.name, unwrap_all(values)) for each, values in zip(engine.resources, inputs, strict=True)
    ]
    return Graph(sorted(resources, key=lambda each: each[:2]), outputs)


def unwrap_all(value: Any) -> Any:
    """Return the value without the marks of secrets at any depth."""
    if isinstance(value, dict):
        if rpc.is_rpc_secret(value):
            return unwrap_all(value["value"])
        return {key: unwrap_all(item) for key, item in value.items()}
    return [unwrap_all(item) for item in value] if isinstance(value, list) else value
