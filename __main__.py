"""The program: create a registry from the stack's config, and export its outputs."""

import pulumi

from registry import PrivateRegistry, redact_debug_log
from registry.inputs.config import args_from

redact_debug_log()
registry = PrivateRegistry("registry", args_from(pulumi.Config()))
for output in PrivateRegistry.__annotations__:
    pulumi.export(output, getattr(registry, output))
