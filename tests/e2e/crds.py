"""The files of a Go module that a program of the toolchain requires, such as CRDs."""

import json
from pathlib import Path

from dev.toolchain import golang
from dev.toolchain.programs import MODULES


def module_folder(program_module: str, module: str) -> Path:
    """Return the folder of `module` in the version and with the checksum that a module of the toolchain requires."""
    sources = MODULES / program_module
    go = golang.choose_go(sources)
    go.ensure_installed()
    return Path(json.loads(go.output("mod", "download", "-json", module, cwd=sources))["Dir"])
