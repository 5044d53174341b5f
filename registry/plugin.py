"""The plugin that serves the components to programs in every language: its schema, and its errors.

`pulumi package add` reads the schema and generates an SDK of it.
"""

import json
import re
import sys
from collections.abc import Iterable
from typing import Any

import pulumi
from pulumi.errors import InputPropertiesError
from pulumi.provider import ConstructResult, main
from pulumi.provider.experimental.analyzer import PropertyDefinition, TypeDefinition
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.experimental.util import camel_case
from pulumi.provider.server import ComponentInitError

from . import __version__
from .inputs.table import SECRETS
from .node_trust import NodeTrust
from .preflight.duplicates import use_process_scope
from .private_registry import PrivateRegistry
from .redaction import redact_debug_log

NAME = "private-registry"

NAMESPACE = "platform"
"""Team that publishes the package. It is a part of the SDKs' names, as in `platform_private_registry`.

Without a namespace an SDK's name depends on the place that the package is added from."""

REPOSITORY = f"https://git.example.com/{NAMESPACE}/{NAME}"
"""Address of this repository. It is the path of the SDK for Go too."""

METADATA = {
    "displayName": "Private Registry",
    "description": "A private Docker registry on Kubernetes: TLS from its own CA, logins, and persistent storage.",
    "keywords": ["kubernetes", "docker", "registry", "kind/component", "category/infrastructure"],
    "homepage": REPOSITORY,
    "repository": REPOSITORY,
    "license": "Apache-2.0",
    "publisher": "The private-registry maintainers",
}
"""Description that the Pulumi Registry and the package indexes of the languages show."""


class Plugin(ComponentProvider):
    """Serve the components. A refused input ends in its message alone, as it does in a Python program."""

    def __init__(self) -> None:
        super().__init__([PrivateRegistry, NodeTrust], NAME, NAMESPACE, __version__)
        schema = suit_generators(json.loads(self.schema or "{}"))
        # Secret outputs arrive as secrets without a mark. With one the SDK for Java does not compile, because its
        # generator calls a method that the options of components lack.
        for resource in schema["resources"].values():
            mark_secrets(resource["inputProperties"], SECRETS)
        self.schema = json.dumps(schema | METADATA)

    def get_type_definition(self, prop: PropertyDefinition) -> TypeDefinition | None:
        """Return the definition of an object, and None for an enum.

        The SDK would refuse a wrong value of an enum without a remedy, and lose the values of a list. So a value stays
        a string, and the rule of the input checks it.
        """
        definition = super().get_type_definition(prop)
        return None if definition and definition.enum else definition

    def map_input_properties(
        self,
        inputs: pulumi.Inputs,
        properties: dict[str, PropertyDefinition],
        mapping: dict[str, str],
        component_name: str,
        property_path: str,
    ) -> pulumi.Inputs:
        """Return the inputs with their Python names. The SDK does not look into an object that is an Output."""
        map_properties = super().map_input_properties
        if isinstance(inputs, pulumi.Output):
            return inputs.apply(lambda known: map_properties(known, properties, mapping, component_name, property_path))
        return map_properties(inputs, properties, mapping, component_name, property_path)

    def construct(
        self,
        name: str,
        resource_type: str,
        inputs: pulumi.Inputs,
        options: pulumi.ResourceOptions | None = None,
    ) -> ConstructResult:
        try:
            return super().construct(name, resource_type, inputs, options)
        except ComponentInitError as failed:
            if isinstance(failed.inner, pulumi.RunError):
                # The SDK sends this error without its class and without a stack trace. It needs a list of properties.
                raise InputPropertiesError(str(failed.inner), []) from failed.inner
            raise


def suit_generators(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with names and options for the generators of all SDKs."""
    # A generator adds Args to the types of inputs, and spells the words of an enum as its language does.
    suited: dict[str, Any] = json.loads(re.sub(r'(:index:\w+)Args"', r'\1"', json.dumps(schema)))
    for definition in suited["types"].values():
        for word in definition.get("enum", []):
            word["name"] = word["name"].title().replace("_", "")  # EXTERNAL_IPS is ExternalIps
    # Without this option Go's generator leaves out types that only plain inputs use, and its SDK does not compile.
    suited["language"]["go"]["generateExtraInputTypes"] = True
    return suited


def mark_secrets(properties: dict[str, Any], keys: Iterable[str]) -> None:
    """Mark the properties that an SDK passes to the engine as secrets."""
    for key in map(camel_case, keys):
        if key in properties:
            properties[key]["secret"] = True


def serve() -> None:
    """Serve the components to the engine, whose address is the argument of the program."""
    redact_debug_log()
    use_process_scope()
    main(Plugin(), sys.argv[1:])
