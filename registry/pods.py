"""Parts of Pods that the registry and the agents of NodeTrust share."""

import hashlib

from pulumi_kubernetes.core.v1 import SecurityContextArgsDict

NO_PRIVILEGES: SecurityContextArgsDict = {
    "allow_privilege_escalation": False,
    "capabilities": {"drop": ["ALL"]},
    "read_only_root_filesystem": True,
}
"""Security context of a container without capabilities, on a read-only file system."""


def checksum(content: object) -> str:
    """Return a SHA-256 checksum for an annotation. A change of the annotation restarts the Pods."""
    return hashlib.sha256(repr(content).encode()).hexdigest()
