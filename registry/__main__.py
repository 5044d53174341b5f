"""Serve the components as a Pulumi plugin, for programs in every language. PulumiPlugin.yaml runs it.

The engine runs this folder as a program without a package, and from its plugin cache under another name. The modules
import each other relatively, so the folder is loaded as the package `registry`.
"""

import json
import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pulumi
from pulumi.errors import InputPropertiesError
from pulumi.provider import ConstructResult, main
from pulumi.provider.experimental.analyzer import PropertyDefinition, TypeDefinition
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.server import ComponentInitError

NAME = "private-registry"
HERE = Path(__file__).resolve().parent


class Plugin(ComponentProvider):
    """Serve the components. A refused input ends in its message alone, as it does in a Python program."""

    def __init__(self, components: list[type[pulumi.ComponentResource]], name: str) -> None:
        super().__init__(components, name)
        self.schema = json.dumps(suit_generators(json.loads(self.schema or "{}")))

    def get_type_definition(self, prop: PropertyDefinition) -> TypeDefinition | None:
        """Return the definition of an object, and None for an enum.

        The SDK would refuse a wrong word of an enum without a remedy, and lose the words of a list. So a word stays as
        it is, and the rule of the input checks it.
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
    suited.setdefault("language", {})["go"] = {"generateExtraInputTypes": True}
    return suited


def load(folder: Path) -> ModuleType:
    """Load the package `registry` from `folder`, whatever the name of the folder."""
    spec = spec_from_file_location("registry", folder / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules[spec.name] = package = module_from_spec(spec)
    spec.loader.exec_module(package)
    return package


if __name__ == "__main__":
    # Top-level modules called `node` or `storage` would hide others with these names.
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != HERE]
    package = load(HERE)
    package.redact_debug_log()
    sys.modules["registry.preflight.duplicates"].use_process_scope()
    main(Plugin([package.PrivateRegistry, package.NodeTrust], NAME), sys.argv[1:])
