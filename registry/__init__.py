"""A private Docker registry on Kubernetes as one Pulumi component."""

from .args import PrivateRegistryArgs
from .node_trust import NodeTrust, NodeTrustArgs, TrustedRegistryArgs
from .private_registry import PrivateRegistry

__all__ = ["NodeTrust", "NodeTrustArgs", "PrivateRegistry", "PrivateRegistryArgs", "TrustedRegistryArgs"]
