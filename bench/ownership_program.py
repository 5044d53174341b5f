"""A program that deploys one registry on a local volume, with its `fsGroupChangePolicy` or with Kubernetes' default.

Pulumi runs this file as the program of another project, which the benchmark creates (`replacement.py`).
"""

import sys
from pathlib import Path
from typing import Any

import pulumi

CLONE = Path(__file__).resolve().parent.parent


def storage_path(stack: str) -> str:
    """Return the folder of the images on the node."""
    return f"/var/lib/{stack}"


def remove_change_policy(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    """Remove `fsGroupChangePolicy` from a Pod, so that each start changes the owner of every file.

    Return None for other resources.
    """
    if args.type_ != "kubernetes:core/v1:Pod":
        return None
    spec: Any = args.props["spec"]
    context = {key: value for key, value in spec["securityContext"].items() if key != "fsGroupChangePolicy"}
    return pulumi.ResourceTransformResult({**args.props, "spec": {**spec, "securityContext": context}}, args.opts)


def create_registry(stack: str) -> None:
    """Create a registry that shares only the node with those of other stacks."""
    # Here, because Pulumi searches modules only in the folder of its project.
    from registry import PrivateRegistry, Storage

    path, label = storage_path(stack), f"run-{stack}=true"
    PrivateRegistry(
        "registry", {"namespace": stack, "node_label": label, "storage": Storage.LOCAL, "storage_path": path}
    )


if __name__ == "__main__":
    sys.path.insert(0, str(CLONE))
    if pulumi.Config().require_int("default_ownership"):
        pulumi.runtime.register_resource_transform(remove_change_policy)
    create_registry(pulumi.get_stack())
