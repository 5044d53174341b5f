"""A claim that is there already, or one that a StorageClass provisions a volume for."""

import pulumi
from pulumi_kubernetes.core.v1 import Namespace, PersistentVolumeClaim

from ..args import PrivateRegistryArgs
from ..metadata import NOT_AWAITED, Metadata
from ..validation.contradictions import refuse_unshared_claim
from .folder import CLAIM


def find_claim(
    name: str, given: PrivateRegistryArgs, metadata: Metadata, own_namespace: Namespace | None, parent: pulumi.Resource
) -> pulumi.Output[str]:
    """The name of the existing claim, if as many as wanted can mount it."""
    found = PersistentVolumeClaim.get(
        f"{name}-from-kubectl-get-pvc",
        metadata.id_of(given["storage_claim"]),
        opts=pulumi.ResourceOptions(parent=parent),
    )

    def usable(known: list[object]) -> str:
        claim, modes = known
        refuse_unshared_claim(given["replicas"], modes)  # type: ignore[arg-type]
        return str(claim)

    return pulumi.Output.all(given["storage_claim"], found.spec.access_modes).apply(usable)


def claim_from_class(
    name: str, given: PrivateRegistryArgs, metadata: Metadata, own_namespace: Namespace | None, parent: pulumi.Resource
) -> pulumi.Output[str]:
    """A claim that may grow. Nobody waits for it, as many classes provision when the Pod is there.

    It is retained: most classes delete their volume, and the images with it, when the claim goes.
    """
    claim = PersistentVolumeClaim(
        f"{name}-claim",
        metadata=metadata.of(CLAIM, annotations=NOT_AWAITED),
        spec={
            "access_modes": [given["storage_access"]],
            "storage_class_name": given["storage_class"],
            "resources": {"requests": {"storage": given["storage_size"]}},
        },
        opts=pulumi.ResourceOptions(
            parent=parent,
            retain_on_delete=True,
            ignore_changes=["spec.accessModes", "spec.storageClassName"],
        ),
    )
    return claim.metadata.name.apply(str)
