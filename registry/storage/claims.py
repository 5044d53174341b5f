"""Claims: an existing one, or one with a volume of a StorageClass."""

import pulumi
from pulumi_kubernetes.core.v1 import PersistentVolumeClaim

from ..context import SKIP_AWAIT, Context
from ..lookup import lookup_name
from ..settings import StorageSettings
from ..validation.storage import refuse_unshared_claim

CLAIM_NAME = "repository"


def look_up_claim(ctx: Context, settings: StorageSettings, name: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return the existing claim's name. Fail if its access modes do not allow `replicas`."""
    claim = PersistentVolumeClaim.get(lookup_name(ctx.name, "pvc"), ctx.lookup_id(name), opts=ctx.options())

    def check(resolved: list[object]) -> str:
        claim_name, access_modes = resolved
        refuse_unshared_claim(settings.replicas, access_modes)  # type: ignore[arg-type]
        return str(claim_name)

    return pulumi.Output.all(name, claim.spec.access_modes).apply(check)


def create_claim_of_class(
    ctx: Context, settings: StorageSettings, storage_class: pulumi.Input[str]
) -> pulumi.Output[str]:
    """Create a claim that may grow. `pulumi destroy` keeps it: most classes delete the volume of a deleted claim.

    Do not wait for binding: with WaitForFirstConsumer it happens only once the Pod exists.
    """
    claim = PersistentVolumeClaim(
        f"{ctx.name}-claim",
        metadata=ctx.metadata(CLAIM_NAME, annotations=SKIP_AWAIT),
        spec={
            "access_modes": [settings.storage_access],
            "storage_class_name": storage_class,
            "resources": {"requests": {"storage": settings.storage_size}},
        },
        opts=ctx.options(
            retain_on_delete=True,
            ignore_changes=["spec.accessModes", "spec.storageClassName"],
        ),
    )
    return claim.metadata.name.apply(str)
