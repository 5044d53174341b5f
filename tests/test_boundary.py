"""A value means the same however it comes: plain, as an Output, as a secret, or from a program in another language.

On its way to the plugin a value is JSON at heart: numbers arrive as floats, names in camelCase, a secret and what is
an Output arrive as objects that say so. A new argument is a line in EXAMPLES.
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
from registry.settings import DEFAULTS
from registry.validation import InvalidInput, collisions
from tests import golden
from tests.conftest import SOAK, Engine, attach, encoded
from tests.issuing import Wanted, issue, leaf

CA = issue(Wanted())
EXISTING: dict[str, Any] = {"create_namespace": False}
S3: dict[str, Any] = {"storage": "s3", "s3_bucket": "images"}
S3_KEYS: dict[str, Any] = {"s3_access_key": "AKIA0", "s3_secret_key": "hunter22"}
MIRROR: dict[str, Any] = {"mode": "mirror", "mirror_of": "https://registry.example.com"}
LOGIN: dict[str, Any] = {"mirror_username": "ci", "mirror_password": "hunter22"}
BALANCED: dict[str, Any] = {"exposure": "load-balancer"}

EXAMPLES: dict[str, Any] = {
    "hostname": "registry.example.com",
    "port": 5001,
    "exposure": "load-balancer",
    "external_ips": ["192.168.56.11", "192.168.56.12"],
    "node_port": 30500,
    "load_balancer_class": "example.com/internal",
    "load_balancer_address": "10.0.0.7",
    "ingress_class": "nginx",
    "client_cidrs": ["10.0.0.0/8"],
    "namespace": "team-registry",
    "create_namespace": False,
    "labels": {"example.com/team": "red"},
    "annotations": {"example.com/team": "red and blue"},
    "certificate_names": ["*.example.com", "10.0.0.8"],
    "certificate_subject": {"country": "FR", "organizational_unit": "R&D"},
    "certificate_key": "RSA-3072",
    "certificate_days": 90,
    "renew_before_days": 10,
    "ca_days": 800,
    "ca_generations": [1, 2],
    "ca_certificate": CA.pem,
    "ca_key": CA.key_pem,
    "tls_secret": "my-certificate",
    "users": ["jean", "marie"],
    "passwords": {"centos": "correct horse battery"},
    "password_generations": {"centos": [2, 1]},
    "users_secret": "my-users",
    "node_trust": True,
    "node_trust_image": "busybox:1.37",
    "containerd_folder": "/var/lib/rancher/k3s/agent/etc/containerd/certs.d",
    "docker_folder": "/etc/containers/certs.d",
    "pull_secrets": ["builds", "kube-system"],
    "default_pull_secret": True,
    "discovery": True,
    "storage": "local",
    "storage_path": "/srv/registry",
    "storage_size": "9Gi",
    "storage_claim": "my-claim",
    "storage_class": "fast",
    "storage_access": "ReadWriteMany",
    "s3_bucket": "images",
    "s3_region": "eu-west-3",
    "s3_endpoint": "https://s3.example.com:9000",
    "s3_prefix": "registries/team",
    "s3_access_key": "AKIA1",
    "s3_secret_key": "hunter23",
    "s3_secret": "my-keys",
    "upstream_ca": CA.pem,
    "workload": "deployment",
    "replicas": 2,
    "node": "k8s-worker",
    "node_label": "registry=here",
    "run_as_user": 65532,
    "requests": {"cpu": "200m"},
    "limits": {"memory": "1Gi"},
    "priority_class": "important",
    "image": "registry:3.1.1",
    "image_pull_policy": "Always",
    "image_pull_secret": "my-login",
    "mode": "read-only",
    "mirror_of": "https://other.example.com",
    "mirror_username": "jean",
    "mirror_password": "hunter23",
    "allow_delete": True,
    "upload_hours": 48,
    "metrics": True,
    "service_monitor": True,
    "log_level": "debug",
    "log_format": "json",
}
"""A value of every argument that is accepted and not its default."""

COMPANIONS: dict[str, dict[str, Any]] = {
    "external_ips": {"exposure": "external-ips"},
    "node_port": {"exposure": "node-port"},
    "load_balancer_class": BALANCED,
    "load_balancer_address": BALANCED,
    "ingress_class": {"exposure": "ingress"},
    "ca_certificate": {"ca_key": CA.key_pem},
    "ca_key": {"ca_certificate": CA.pem},
    "tls_secret": EXISTING,
    "users_secret": EXISTING,
    "node_trust_image": {"node_trust": True},
    "containerd_folder": {"node_trust": True},
    "docker_folder": {"node_trust": True},
    "storage_claim": EXISTING | {"storage": "claim"},
    "storage_class": {"storage": "class"},
    "storage_access": {"storage": "class", "storage_class": "fast"},
    "s3_bucket": S3,
    "s3_region": S3,
    "s3_endpoint": S3,
    "s3_prefix": S3,
    "s3_access_key": S3 | S3_KEYS,
    "s3_secret_key": S3 | S3_KEYS,
    "s3_secret": S3 | EXISTING,
    "upstream_ca": S3,
    "replicas": S3 | {"workload": "deployment"},
    "image_pull_secret": EXISTING,
    "mirror_of": MIRROR,
    "mirror_username": MIRROR | LOGIN,
    "mirror_password": MIRROR | LOGIN,
    "service_monitor": {"metrics": True},
    "default_pull_secret": {"pull_secrets": ["builds"]},
}
"""Other arguments, as plain values, without which an argument is refused."""

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
            "tls.crt": encoded((SERVED := issue(leaf("docker-registry.docker-registry.svc"), CA)).pem + CA.pem),
            "tls.key": encoded(SERVED.key_pem),
        }
    },
    "registry-auth-from-kubectl-get-secrets": {"data": {"registry.password": encoded(f"jean:$2b$05${'a' * 53}")}},
    "registry-data-from-kubectl-get-secrets": {
        "data": {"access-key": encoded("AKIA2"), "secret-key": encoded("hunter24")}
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
    companions = {name: value for name, value in COMPANIONS.get(key, {}).items() if name != key}
    try:
        without = from_json(json.dumps(companions))
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
    monkeypatch.setattr(collisions, "serves_a_plugin", True)
    monkeypatch.setattr(collisions, "_of_the_plugin", {})

    def program() -> Given:
        for name in ("first", "second"):
            wire = Struct()
            wire.update({"namespace": name, "storagePath": f"/srv/{name}", **shared})
            outputs = dict(PLUGIN.construct(name, TOKEN, rpc.deserialize_properties(wire)).state)
        return outputs

    with pytest.raises((InputPropertiesError, InvalidInput), match=f"`{key}` must be the registry's alone"):
        graph(program)


def given(keys: tuple[str, ...], wrap: Callable[[Any], Any]) -> Given:
    """Return the examples of the keys and their companions. Wrap the examples that may be Outputs."""
    companions = {name: value for key in keys for name, value in COMPANIONS.get(key, {}).items()}
    return companions | {key: wrap(EXAMPLES[key]) if key in MAY_BE_OUTPUTS else EXAMPLES[key] for key in keys}


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
    resources = [(each.type, each.name, opened(each.inputs)) for each in engine.registered]
    return Graph(sorted(resources, key=lambda each: each[:2]), outputs)


def opened(value: Any) -> Any:
    if isinstance(value, dict):
        return (
            opened(value["value"]) if rpc.is_rpc_secret(value) else {key: opened(each) for key, each in value.items()}
        )
    return [opened(each) for each in value] if isinstance(value, list) else value
