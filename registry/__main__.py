"""Run the plugin. PulumiPlugin.yaml names no module, so the engine runs this folder as a program without a package.

The folder has another name in the engine's cache. The modules import each other relatively, so the folder is loaded as
the package `registry`.
"""

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

HERE = Path(__file__).resolve().parent


def load(folder: Path) -> None:
    """Load the package `registry` from `folder`, whatever the name of the folder."""
    spec = spec_from_file_location("registry", folder / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules[spec.name] = package = module_from_spec(spec)
    spec.loader.exec_module(package)


if __name__ == "__main__":
    # Top-level modules called `node` or `storage` would hide modules of other packages with these names.
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != HERE]
    load(HERE)
    import_module("registry.plugin").serve()
