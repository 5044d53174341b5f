"""Serve the rules to the engine. PulumiPolicy.yaml runs it.

The engine runs this folder as a program without a package, maybe under another name. The modules import each other
relatively, so the folder is loaded as the package `policy`.
"""

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

HERE = Path(__file__).resolve().parent


def load(folder: Path) -> None:
    """Load the package `policy` from `folder`, whatever the name of the folder."""
    spec = spec_from_file_location("policy", folder / "__init__.py", submodule_search_locations=[str(folder)])
    assert spec is not None
    assert spec.loader is not None
    sys.modules[spec.name] = package = module_from_spec(spec)
    spec.loader.exec_module(package)


if __name__ == "__main__":
    # A top-level module called `resource` would hide that of Python.
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != HERE]
    load(HERE)
    import_module("policy.pack").serve()
