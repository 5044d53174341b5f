"""A private Docker registry on Kubernetes as one Pulumi component, and another by which nodes trust registries."""

from . import debug_log
from .args import PrivateRegistryArgs
from .node_trust import NodeTrust, NodeTrustArgs, TrustedRegistryArgs
from .private_registry import PrivateRegistry

debug_log.silence()

__all__ = ["NodeTrust", "NodeTrustArgs", "PrivateRegistry", "PrivateRegistryArgs", "TrustedRegistryArgs"]
