"""From NodeTrust's inputs to its settings: apply the defaults, and check every rule."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pulumi

from ..validation import images, names, nodes, require_plain_value, validate
from ..validation.basics import refuse_unknown_keys
from .args import NodeTrustArgs


@dataclass(frozen=True)
class Settings:
    """The settings of NodeTrust. The fields have the names of the inputs."""

    registries: list[dict[str, pulumi.Input[str]]]
    namespace: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    containerd_folder: pulumi.Input[str]
    docker_folder: pulumi.Input[str]
    image: pulumi.Input[str]


DEFAULTS: dict[str, Any] = {
    "namespace": "node-trust",
    "labels": {},
    "annotations": {},
    "containerd_folder": nodes.CONTAINERD_FOLDER,
    "docker_folder": nodes.DOCKER_FOLDER,
    "image": images.NEWEST,
}

RULES: dict[str, Callable[[Any], Any]] = {
    "registries": nodes.registries,
    "namespace": names.namespace,
    "labels": names.labels,
    "annotations": names.annotations,
    "containerd_folder": partial(nodes.folder, "containerd_folder"),
    "docker_folder": partial(nodes.folder, "docker_folder"),
    "image": images.image,
}

REGISTRY_RULES: dict[str, Callable[[Any], Any]] = {
    "endpoint": nodes.endpoint,
    "ca_pem": nodes.ca_pem,
    "address": nodes.address,
}
"""Rules for the values of each registry."""

STRUCTURAL = ("namespace", "labels", "annotations")
"""Inputs that cannot be Outputs."""


def resolve(args: NodeTrustArgs) -> Settings:
    """Return the checked settings. Raise `InvalidInput`."""
    values: dict[str, Any] = {**DEFAULTS, **{key: value for key, value in args.items() if value is not None}}
    refuse_unknown_keys(values, RULES)
    registries = [_fields(registry) for registry in nodes.registries(values.pop("registries", []))]
    for key, value in values.items():
        plain = require_plain_value(key, value) if key in STRUCTURAL else value
        values[key] = validate(plain, RULES[key])
    return Settings(registries=_registries(registries), **values)


def _fields(registry: pulumi.Input[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the fields of a registry. If it is an Output, they are Outputs."""
    if not isinstance(registry, pulumi.Output | Awaitable):
        return nodes.registry(registry)
    fields = pulumi.Output.all(registry).apply(lambda known: nodes.registry(known[0]))
    address = fields.apply(lambda known: known.get("address") or "")
    return {"endpoint": fields["endpoint"], "ca_pem": fields["ca_pem"], "address": address}


def _registries(registries: list[Mapping[str, Any]]) -> list[dict[str, pulumi.Input[str]]]:
    """Return the registries with checked values. None of the values is secret."""
    distinct = pulumi.Output.all(*(registry["endpoint"] for registry in registries)).apply(
        nodes.refuse_repeated_endpoints
    )
    return [_registry(registry, distinct) for registry in registries]


def _registry(registry: Mapping[str, Any], distinct: pulumi.Output[None]) -> dict[str, pulumi.Input[str]]:
    values = {
        key: validate(registry[key], rule) for key, rule in REGISTRY_RULES.items() if registry.get(key) is not None
    }
    endpoint = pulumi.Output.all(values["endpoint"], distinct).apply(lambda both: str(both[0]))
    return {**values, "endpoint": endpoint}
