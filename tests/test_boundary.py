"""A value means the same however it comes: plain, as an Output, as a secret, or from a program in another language.

On its way to the plugin a value is JSON at heart: numbers arrive as floats, names in camelCase, a secret and what is
an Output arrive as objects that say so. A new input is a line in tests/examples.py.
"""

import json
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple, cast

import pulumi
import pytest
from google.protobuf.struct_pb2 import Struct  # type: ignore[import-untyped]
from pulumi.errors import InputPropertiesError
from pulumi.runtime import rpc

from registry import PrivateRegistry, PrivateRegistryArgs
from registry.__main__ import NAME, Plugin
from registry.inputs.table import DEFAULTS
from registry.preflight import duplicates
from registry.validation import InvalidInput
from tests import golden
from tests.conftest import SOAK, Engine, attach, to_base64
from tests.examples import CA, EXAMPLES, companions
from tests.issuing import issue, server_spec

GROUPS: tuple[tuple[str, ...], ...] = (
    (
        *("hostname", "port", "exposure", "load_balancer_class", "load_balancer_address", "client_cidrs"),
        *("namespace", "create_namespace", "labels", "annotations", "users", "node_trust", "node_trust_image"),
        *("certificate_names", "certificate_subject", "certificate_key", "certificate_days", "renew_before_days"),
        *("ca_days", "ca_generations", "containerd_folder", "docker_folder", "pull_secrets", "discovery"),
        *("storage", "storage_path", "storage_size", "workload", "node", "node_label", "requests", "limits"),
        *("priority_class", "image", "image_pull_policy", "image_pull_secret", "mode", "upload_hours"),
        *("metrics", "service_monitor", "log_level", "log_format"),
    ),
    ("external_ips", "ca_certificate", "ca_key", "passwords", "default_pull_secret", "storage_claim", "mirror_of"),
    ("node_port", "password_generations", "storage_class", "storage_access", "mirror_username", "mirror_password"),
    (
        *("ingress_class", "users_secret", "s3_bucket", "s3_region", "s3_endpoint", "s3_prefix"),
        *("s3_access_key", "s3_secret_key", "upstream_ca", "replicas", "allow_delete"),
    ),
    ("tls_secret", "s3_secret"),
    ("run_as_user",),
)
"""All keys, in groups that can be given together, so that a group takes one deployment.

With SOAK=1, each key is given alone.
"""

LIVE: dict[str, Any] = {
    "registry-tls-from-kubectl-get-secrets": {
        "data": {
            "tls.crt": to_base64(
                (SERVED := issue(server_spec("docker-registry.docker-registry.svc"), CA)).pem + CA.pem
            ),
            "tls.key": to_base64(SERVED.key_pem),
        }
    },
    "registry-auth-from-kubectl-get-secrets": {"data": {"registry.password": to_base64(f"jean:$2b$05${'a' * 53}")}},
    "registry-data-from-kubectl-get-secrets": {
        "data": {"access-key": to_base64("AKIA2"), "secret-key": to_base64("hunter24")}
    },
    "registry-data-from-kubectl-get-pvc": {"spec": {"accessModes": ["ReadWriteMany"]}},
}
"""What is there before the registry, by the name it is looked up under."""

PLUGIN = Plugin([PrivateRegistry], NAME)
TOKEN, SCHEMA = next(iter(golden.current()["resources"].items()))
DEFINITION = PLUGIN.analyzer.analyze_component(PrivateRegistry)
WIRE_NAMES = {python: wire for wire, python in DEFINITION.inputs_mapping.items()}
MAY_BE_OUTPUTS = [key for key, wire in WIRE_NAMES.items() if not SCHEMA["inputProperties"][wire].get("plain")]
"""The others shape the graph, so they are fixed before it is made, as the schema tells every language."""

Given = dict[str, Any]


class Graph(NamedTuple):
    """What a program registers, in an order of its own with secrets opened, and what its component puts out."""

    resources: list[tuple[str, str, Any]]
    outputs: dict[str, Any]


def wired(value: Any) -> Any:
    return value


def wired_output(value: Any) -> Any:
    return {rpc._special_sig_key: rpc._special_output_value_sig, "value": value, "dependencies": ["urn:of:another"]}


def wired_secret(value: Any) -> Any:
    return {rpc._special_sig_key: rpc._special_secret_sig, "value": value}


def test_the_table_has_every_argument_and_no_default() -> None:
    assert set(EXAMPLES) == set(PrivateRegistryArgs.__annotations__) == set(WIRE_NAMES)
    assert not [key for key, value in EXAMPLES.items() if value == DEFAULTS.get(key)]
    assert sorted(EXAMPLES) == sorted(key for keys in GROUPS for key in keys)


@pytest.mark.parametrize("key", EXAMPLES)
def test_an_argument_changes_the_graph(key: str) -> None:
    needed = companions(key)
    try:
        without = from_json(json.dumps(needed))
    except InvalidInput:
        return  # a companion needs it
    assert plain(key) != without


@pytest.mark.parametrize("way", ["output", "secret", "wired", "wired output", "wired secret"])
def test_a_value_makes_the_same_graph_in_every_way(way: str) -> None:
    groups = [(key,) for key in EXAMPLES] if SOAK else GROUPS
    assert [key for keys in groups for key in different(keys, *WAYS[way])] == []


def test_a_value_that_makes_another_graph_is_named() -> None:
    """Among others that do not."""

    def call(args: Given) -> Given:
        return in_process({**args, "port": 5002} if "port" in args else args)

    assert different(("node", "port", "metrics"), call, wired) == ["port"]


def test_every_output_crosses_back() -> None:
    assert graph(lambda: as_plugin({})).outputs.keys() == SCHEMA["properties"].keys()


def test_what_is_refused_is_told_to_another_language_in_the_message_alone() -> None:
    with pytest.raises(InputPropertiesError) as refusal:
        graph(lambda: as_plugin({"port": 70000}))
    assert refusal.value.message.startswith("`port` must be ")
    assert "\n" not in refusal.value.message
    assert refusal.value.errors == []


@pytest.mark.parametrize(
    ("shared", "key"),
    [({"namespace": "team"}, "namespace"), ({"storagePath": "/srv/team"}, "storage_path")],
)
def test_two_registries_of_a_program_in_another_language_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, shared: Given, key: str
) -> None:
    """They come over a connection each, to one process."""
    monkeypatch.setattr(duplicates, "_of_process", {})

    def program() -> Given:
        for name in ("first", "second"):
            wire = Struct()
            wire.update({"namespace": name, "storagePath": f"/srv/{name}", **shared})
            outputs = dict(PLUGIN.construct(name, TOKEN, rpc.deserialize_properties(wire)).state)
        return outputs

    with pytest.raises((InputPropertiesError, InvalidInput), match=f"`{key}` reserves "):
        graph(program)


def given(keys: tuple[str, ...], wrap: Callable[[Any], Any]) -> Given:
    """Return the examples of the keys and their companions. Wrap the examples that may be Outputs."""
    needed = {name: value for key in keys for name, value in companions(key).items()}
    return needed | {key: wrap(EXAMPLES[key]) if key in MAY_BE_OUTPUTS else EXAMPLES[key] for key in keys}


def different(
    keys: tuple[str, ...], call: Callable[[Given], Given], wrap: Callable[[Any], Any]
) -> list[tuple[str, ...] | str]:
    """Return the keys that make another graph than their plain values: those that do so alone, or the whole group."""

    def differs(keys: tuple[str, ...]) -> bool:
        # Wrapped within the run, to whose event loop an Output belongs.
        return graph(lambda: call(given(keys, wrap))) != plain(*keys)

    if not differs(keys):
        return []
    return [key for key in keys if differs((key,))] or [keys]


@cache
def plain(*keys: str) -> Graph:
    return graph(partial(in_process, given(keys, wired)))


@cache
def from_json(args: str) -> Graph:
    """Return the graph of these arguments, which are JSON so that they can be a key of the cache."""
    return graph(partial(in_process, json.loads(args)))


def in_process(args: Given) -> Given:
    component = PrivateRegistry("registry", cast(PrivateRegistryArgs, args))
    return {wire: getattr(component, python) for wire, python in DEFINITION.outputs_mapping.items()}


def as_plugin(args: Given) -> Given:
    """What the SDK's plugin server makes of a request; the state that it answers."""
    wire = Struct()
    wire.update({WIRE_NAMES[key]: value for key, value in args.items()})
    inputs = {key: taken(value) for key, value in rpc.deserialize_properties(wire, keep_unknowns=True).items()}
    return dict(PLUGIN.construct("registry", TOKEN, inputs).state)


def taken(value: Any) -> Any:
    """As the server does it with a secret input, in `_select_value`."""
    return pulumi.Output.secret(rpc.unwrap_rpc_secret(value)) if rpc.is_rpc_secret(value) else value


WAYS: dict[str, tuple[Callable[[Given], Given], Callable[[Any], Any]]] = {
    "output": (in_process, pulumi.Output.from_input),
    "secret": (in_process, pulumi.Output.secret),
    "wired": (as_plugin, wired),
    "wired output": (as_plugin, wired_output),
    "wired secret": (as_plugin, wired_secret),
}
"""Ways to call the component, and the function that wraps a value which may be an Output, by name."""


def graph(program: Callable[[], Given]) -> Graph:
    engine = Engine(live=dict(LIVE))
    attach(engine)
    outputs: Given = {}

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def main() -> Any:
        return pulumi.Output.all(**program()).apply(outputs.update)

    main()
    resources = [(each.type, each.name, opened(each.inputs)) for each in engine.resources]
    return Graph(sorted(resources, key=lambda each: each[:2]), outputs)


def opened(value: Any) -> Any:
    if isinstance(value, dict):
        return (
            opened(value["value"]) if rpc.is_rpc_secret(value) else {key: opened(each) for key, each in value.items()}
        )
    return [opened(each) for each in value] if isinstance(value, list) else value
