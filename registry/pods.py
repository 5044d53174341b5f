"""Parts of Pods that the registry and the agents of NodeTrust share."""

import hashlib
from asyncio import ensure_future

import pulumi
from pulumi_kubernetes.core.v1 import Secret, SecurityContextArgsDict

NO_PRIVILEGES: SecurityContextArgsDict = {
    "allow_privilege_escalation": False,
    "capabilities": {"drop": ["ALL"]},
    "read_only_root_filesystem": True,
}
"""Security context of a container without capabilities, on a read-only file system."""


def checksum(content: object) -> str:
    """Return a SHA-256 checksum for an annotation. A change of the annotation restarts the Pods."""
    return hashlib.sha256(repr(content).encode()).hexdigest()


def uid_of(secret: Secret) -> pulumi.Output[str | None]:
    """Return the UID of a Secret, or None before its creation, as an output that does not depend on the Secret.

    A Secret is deleted to be replaced. The engine would delete a Deployment too if its spec depended on the Secret.
    """
    return pulumi.Output.from_input(ensure_future(secret.metadata.uid.future()))
