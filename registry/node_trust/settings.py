"""From NodeTrust's inputs to its settings: defaults, and a rule for every input."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pulumi

from ..validation import checked, images, known_before, known_keys, names, nodes
from .args import NodeTrustArgs, TrustedRegistryArgs

DEFAULTS = {
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

OF_A_REGISTRY: dict[str, Callable[[Any], Any]] = {
    "endpoint": nodes.endpoint,
    "ca_pem": nodes.ca_pem,
    "address": nodes.address,
}

STRUCTURAL = ("namespace", "labels", "annotations")


def settled(args: NodeTrustArgs) -> NodeTrustArgs:
    """The inputs, checked, with the defaults where nothing is given."""
    given: dict[str, Any] = {**DEFAULTS, **{key: value for key, value in args.items() if value is not None}}
    known_keys(given, RULES)
    nodes.registries(given.get("registries", []))
    accepted = {
        key: checked(known_before(key, value) if key in STRUCTURAL else value, RULES[key])
        for key, value in given.items()
        if key != "registries"
    }
    return cast(NodeTrustArgs, {**accepted, "registries": _registries(given["registries"])})


def _registries(given: list[TrustedRegistryArgs]) -> list[dict[str, pulumi.Input[str]]]:
    """Each with its checked values. Nothing of them is secret, and the files would hide in the state if it were."""
    endpoints = pulumi.Output.all(*(each["endpoint"] for each in given)).apply(nodes.distinct)
    found = []
    for each in given:
        values = {key: checked(each[key], rule) for key, rule in OF_A_REGISTRY.items() if each.get(key) is not None}  # type: ignore[literal-required]
        known = pulumi.Output.all(values["endpoint"], endpoints).apply(lambda both: str(both[0]))
        found.append({**values, "endpoint": known})
    return found
