"""The command `private-registry` of an installed wheel, which is `python -m ops` of a checkout."""

import sys
from importlib import import_module

from .__main__ import HERE, load

MISSING_EXTRA = (
    "`private-registry` needs packages that are not installed. Run `pip install 'pulumi-private-registry[ops]'`."
)


def run() -> None:
    """Run the command line of `ops`. Its modules import the component as `registry`, so it is loaded as such."""
    load(HERE)
    try:
        command_line = import_module(f"{__package__}.ops.__main__")
    except ModuleNotFoundError as missing:
        print(f"{MISSING_EXTRA} ({missing})", file=sys.stderr)
        sys.exit(2)
    command_line.main("private-registry")
