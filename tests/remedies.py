"""The `pulumi config` commands of real messages, with the other inputs that each command needs."""

import asyncio
import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast
from unittest.mock import patch

import pulumi
from pulumi.runtime.config import set_all_config

from ops.status.facts import CertificateAuthority, StackSettings
from ops.status.verdicts import rate_authorities
from ops.verify.pull_outcome import TRUST_REMEDY
from registry.inputs.args import PrivateRegistryArgs
from registry.inputs.combinations import check_combinations
from registry.inputs.config import args_from
from registry.inputs.resolve import resolve
from registry.inputs.table import DEFAULTS, INPUTS, SECRETS
from registry.preflight.references import named_objects
from registry.tls.authority import rotation_hint
from registry.validation import InvalidInput
from registry.validation.access import keys_are_read
from registry.validation.certificates import ca_end_advice
from registry.validation.chains import TypedHost, validate_server_chain
from registry.validation.existing_objects import (
    ENFORCE,
    Claim,
    refuse_other_namespace,
    refuse_unusable_claim,
    refuse_unusable_namespace,
)
from registry.validation.families import families_fit_policy, refuse_families_of_other_clusters
from registry.validation.node_selector import refuse_nodes_without_volume
from registry.validation.rotation import require_next_step
from registry.validation.secrets import ExistingSecret
from registry.validation.servers import bucket_not_in_endpoint, clients_reach_bucket, region_of_endpoint
from registry.validation.storage import class_is_read, default_class, refuse_relocation, version_has_storage
from registry.validation.tolerations import check_taints
from tests.examples import EXAMPLES, NIGHTLY, REFUSED, TOKEN, Inputs, companions, inputs_that_fulfil, rule
from tests.issuing import issue, server_spec

COMMAND = re.compile(r"`(pulumi config [^`]*)`")

AWKWARD_USER = "jean.d\"o'r $HOME"
"""Name of a user with a dot, quotes, a space and a variable of the shell."""

NEEDED_INPUTS: dict[str, Inputs] = {
    "password_generations": {"users": ["centos", "jean"]},
    "access": {"users": ["centos", "jean"], "access": [rule(users=["centos"])]},
    "collect": {"collect": NIGHTLY},
    "retention": {"retention": [{"keep_days": 30}]},
    "scrub": {"scrub": NIGHTLY},
    "certificate_issuer": {"certificate_issuer": {"kind": "ClusterIssuer"}},
    "token": {"token": {key: value for key, value in TOKEN.items() if key != "realm"}},
}
"""Other inputs that a key needs, and the rest of an input if a command sets only a part of it."""

OTHER_SERVER = issue(server_spec("registry.example.com"))
"""Certificate for a name that clients do not type."""


class Remedy(NamedTuple):
    """A command with the other inputs that it needs."""

    command: str
    others: Inputs


def remedies() -> list[Remedy]:
    """Return every distinct command."""
    by_command = {command: others for text, others in _texts() for command in COMMAND.findall(text)}
    return [Remedy(command, others) for command, others in by_command.items()]


def _texts() -> Iterator[tuple[str, Inputs]]:
    """Yield texts with commands, and the inputs that the commands need."""
    for key, value, _ in REFUSED:
        others = companions(key) | NEEDED_INPUTS.get(key, {})
        text = _message(INPUTS[key].rule, value)
        if "outbound_proxy.no_proxy" in text:
            others = {**others, "outbound_proxy": {"https": "http://proxy.example.com:3128"}}
        yield text, others
    for key, row in INPUTS.items():
        if row.required:
            inputs = {name: value for name, value in inputs_that_fulfil(row.only_with[0]).items() if name != key}
            yield _message(check_combinations, {**DEFAULTS, **inputs}), inputs
    for key in SECRETS:
        others = {"users": ["USER"]} if key == "passwords" else companions(key)
        yield _message(_read_config, {key: "hunter2"}, []), others
    for key in ("client_cidrs", "requests", "limits", "tolerations"):
        yield _message(_read_config, {key: "hunter2"}, [key]), {}
    yield _message(_read_config, {"node_port": "30500"}, ["node_port"]), {}
    awkward = {"users": [AWKWARD_USER]}
    yield _message(INPUTS["passwords"].rule, {AWKWARD_USER: ""}), awkward
    yield _message(INPUTS["password_generations"].rule, {AWKWARD_USER: []}), awkward
    yield _message(require_next_step, "ca_generations", [2], {0: 0, 1: 0, 2: 3, 4: 3}), {}
    for generations in ([1, 2], [2, 1]):
        yield str(rotation_hint(generations)), {}
    yield ca_end_advice(1, "2027-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)), {}
    yield rate_authorities([CertificateAuthority("CA", 1, 1)], StackSettings(ca_generations=[1])).remedy, {}
    yield TRUST_REMEDY, {}
    yield _message(refuse_relocation, {"storage_path": "/srv/first"}, {"storage_path": "/srv/second"}), {}
    yield _message(refuse_relocation, {"storage": "local"}, {"storage": "host-path"}), {"storage_path": "/srv/first"}
    yield from _texts_of_lookups()
    yield _message(bucket_not_in_endpoint, "https://images.s3.example.com", "images"), companions("s3_endpoint")
    yield _message(region_of_endpoint, "https://s3.eu-west-3.amazonaws.com", "us-east-1"), companions("s3_region")
    yield _message(keys_are_read, "registry:2.8.3", TOKEN), {"token": TOKEN}
    secret = ExistingSecret("tls_secret", "docker-registry", "tls", ("tls.crt", "tls.key"))
    files = {"tls.crt": OTHER_SERVER.pem, "tls.key": OTHER_SERVER.key_pem}
    yield _message(validate_server_chain, secret, files, TypedHost("docker-registry"), list), {}


def _texts_of_lookups() -> Iterator[tuple[str, Inputs]]:
    """Yield the texts for objects that do not exist, or that do not suit the registry."""
    others: Inputs = {"metrics": True}
    for remedy in asyncio.run(_remedies_for_missing_objects(others)):
        yield remedy, others
    claim = Claim("images", "docker-registry", "Filesystem", ["ReadOnlyMany"], "Bound")
    yield _message(refuse_unusable_claim, claim, "read-write"), {}
    yield _message(refuse_other_namespace, "team", {"metadata": {"name": "team"}}, is_own=False), {}
    yield _message(refuse_unusable_namespace, "team", {ENFORCE: "restricted"}, "Active", 0), {}
    yield _message(default_class, []), {}
    yield _message(default_class, [{"metadata": {"name": "fast"}}]), {"storage": "class"}
    with_other = {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}]}
    nodes: dict[str, dict[str, str]] = {"a": {}, "b": {}}
    yield (
        _message(refuse_nodes_without_volume, "repository", {"required": with_other}, ["a"], nodes),
        companions("node_selector") | {"node_selector": EXAMPLES["node_selector"]},
    )
    dual_stack = {"ip_family_policy": "RequireDualStack"}
    yield _message(refuse_families_of_other_clusters, [], "RequireDualStack", ["10.96.0.0/12"]), dual_stack
    yield _message(families_fit_policy, ["IPv4", "IPv6"], "SingleStack"), {"ip_families": ["IPv4", "IPv6"]}
    in_cluster = companions("s3_endpoint") | {"s3_redirect": True}
    yield _message(clients_reach_bucket, "http://minio:9000", True), in_cluster
    old_image = companions("s3_storage_class") | {"s3_storage_class": "GLACIER_IR"}
    yield _message(class_is_read, "registry:2.7.1", "GLACIER_IR"), old_image
    yield _message(version_has_storage, "registry:2.8.3", "azure"), companions("azure_account")
    yield _message(version_has_storage, "registry:2.8.3", "gcs"), companions("gcs_bucket")
    taint = {"key": "dedicated", "value": "ops", "effect": "NoSchedule"}
    yield _message(check_taints, "worker", {"taints": [taint]}, [], 0), {}


async def _remedies_for_missing_objects(others: Inputs) -> list[str]:
    inputs = {key: EXAMPLES[key] for key in ("node", "priority_class", "service_monitor")} | others
    named = [*named_objects(resolve(cast(PrivateRegistryArgs, inputs)), needs_node=True)]
    # Outputs that are never awaited would warn in a later test.
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
    return [item.remedy for item in named]


def _message(refuse: Callable[..., Any], *arguments: Any, **keywords: Any) -> str:
    try:
        refuse(*arguments, **keywords)
    except InvalidInput as error:
        return str(error)
    raise AssertionError("The value was accepted.")


def _read_config(values: dict[str, str], secret: list[str]) -> None:
    """Read the inputs from a config with these values. `secret` has the keys that are marked as secret."""
    config = {f"project:{key}": value for key, value in values.items()}
    set_all_config(config, [f"project:{key}" for key in secret])
    try:
        with patch.dict(os.environ, PULUMI_CONFIG=json.dumps(config)):
            args_from(pulumi.Config("project"))
    finally:
        set_all_config({}, [])
