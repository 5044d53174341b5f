"""The program: the stack's config goes in, one registry comes up, its outputs come out."""

import pulumi

from registry import PrivateRegistry
from registry.config import args_from

registry = PrivateRegistry("registry", args_from(pulumi.Config()))
for output in ("endpoint", "ca_pem", "username", "password", "passwords", "namespace", "addresses"):
    pulumi.export(output, getattr(registry, output))
