"""The component as a Pulumi plugin, for programs in every language: what PulumiPlugin.yaml runs.

The engine runs the folder, as a program without a package around it and, from its cache of plugins, under another
name. The modules import each other relatively, so the folder is loaded as the package that it is for a Python program.
"""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pulumi
from pulumi.errors import InputPropertiesError
from pulumi.provider import ConstructResult, main
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.server import ComponentInitError

NAME = "private-registry"
HERE = Path(__file__).resolve().parent


class Plugin(ComponentProvider):
    """Serves the component; what it refuses ends in its message alone, as it does in a Python program."""

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
                # The one error of which the SDK sends neither its class nor a stack trace; it fails without a list.
                raise InputPropertiesError(str(failed.inner), []) from failed.inner
            raise


def load(folder: Path) -> ModuleType:
    """The package `registry` from `folder`, whatever the folder is called."""
    spec = spec_from_file_location("registry", folder / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules[spec.name] = package = module_from_spec(spec)
    spec.loader.exec_module(package)
    return package


if __name__ == "__main__":
    # As top-level modules, `node` or `storage` would hide others of that name.
    sys.path[:] = [each for each in sys.path if Path(each).resolve() != HERE]
    package = load(HERE)
    sys.modules["registry.validation.collisions"].serves_a_plugin = True  # type: ignore[attr-defined]
    main(Plugin([package.PrivateRegistry, package.NodeTrust], NAME), sys.argv[1:])
