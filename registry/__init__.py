"""A private Docker registry on Kubernetes as one Pulumi component."""

from .args import PrivateRegistryArgs
from .private_registry import PrivateRegistry

__all__ = ["PrivateRegistry", "PrivateRegistryArgs"]
