"""A private Docker registry on Kubernetes as one Pulumi component."""

from .private_registry import PrivateRegistry, PrivateRegistryArgs

__all__ = ["PrivateRegistry", "PrivateRegistryArgs"]
