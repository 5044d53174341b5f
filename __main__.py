"""The program: create a registry from the stack's config, and export its outputs.

The engine also runs this folder as a plugin (PulumiPlugin.yaml). Only a plugin gets an argument, the engine's address.
"""

import sys

import pulumi

from registry import PrivateRegistry, redact_debug_log
from registry.inputs.config import args_from

if len(sys.argv) > 1:
    from registry.plugin import serve

    serve()
else:
    redact_debug_log()
    registry = PrivateRegistry("registry", args_from(pulumi.Config()))
    for output in PrivateRegistry.__annotations__:
        pulumi.export(output, getattr(registry, output))
