"""Two Pulumi components: a private Docker registry on Kubernetes, and the trust of nodes in registries."""

from .inputs.args import PrivateRegistryArgs
from .node_trust import NodeTrust, NodeTrustArgs, TrustedRegistryArgs
from .private_registry import PrivateRegistry
from .redaction import redact_debug_log
from .validation import InvalidInput

__all__ = [
    "InvalidInput",
    "NodeTrust",
    "NodeTrustArgs",
    "PrivateRegistry",
    "PrivateRegistryArgs",
    "TrustedRegistryArgs",
    "redact_debug_log",
]
