"""Claims: an existing one, or one with a volume of a StorageClass."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_kubernetes.core.v1 import PersistentVolumeClaim

from ..context import SKIP_AWAIT, Context
from ..lookup import ExistingClaims, Object, lookup_name
from ..settings import StorageSettings
from ..validation.existing_objects import Claim, refuse_unusable_claim
from ..validation.storage import refuse_unshared_claim

CLAIM_NAME = "repository"


def look_up_claim(
    ctx: Context, settings: StorageSettings, name: pulumi.Input[str], existing: pulumi.Output[ExistingClaims]
) -> pulumi.Output[str]:
    """Return the existing claim's name. Fail if a Pod cannot mount it, or if it does not allow `replicas`."""
    claim = PersistentVolumeClaim.get(lookup_name(ctx.name, "pvc"), ctx.lookup_id(name), opts=ctx.options())

    def check(resolved: Sequence[Any]) -> str:
        claim_name, namespace, deletion, (volume_mode, access_modes), phase, claims = resolved
        binding_mode = (claims.named.get("storageClass") or {}).get("volumeBindingMode")
        found = Claim(claim_name, namespace, volume_mode, access_modes or [], phase, bool(deletion), binding_mode)
        refuse_unusable_claim(found, settings.mode)
        refuse_unshared_claim(settings.replicas, found.access_modes)
        return str(claim_name)

    operands = (
        name,
        ctx.namespace,
        claim.metadata.apply(lambda metadata: metadata.deletion_timestamp if metadata else None),
        claim.spec.apply(lambda spec: [spec.volume_mode, spec.access_modes]),
        claim.status.apply(lambda status: status.phase if status else None),
        existing,
    )
    return pulumi.Output.all(*operands).apply(check)


def create_claim_of_class(
    ctx: Context, settings: StorageSettings, storage_class: pulumi.Output[str], existing: pulumi.Output[ExistingClaims]
) -> pulumi.Output[str]:
    """Create a claim that may grow. `pulumi destroy` keeps it: most classes delete the volume of a deleted claim.

    Do not wait for binding: with WaitForFirstConsumer it happens only once the Pod exists.
    """
    name = pulumi.Output.all(existing, storage_class).apply(lambda both: claim_name(both[0].all, both[1]))
    claim = PersistentVolumeClaim(
        f"{ctx.name}-claim",
        metadata=ctx.metadata(name, annotations=SKIP_AWAIT),
        spec={
            "access_modes": [settings.storage_access],
            "storage_class_name": storage_class,
            "resources": {"requests": {"storage": settings.storage_size}},
        },
        opts=ctx.options(retain_on_delete=True),
    )
    return claim.metadata.name.apply(str)


def claim_name(all_claims: Sequence[Object] | None, storage_class: str) -> str:
    """Return the name of the claim: that of the bound one, or of one with this class, or a new one.

    Neither the class nor the access mode of a claim can change. So a claim that never bound stays, and another one
    takes its place.
    """
    claims = own_claims(all_claims or [])
    if bound := bound_claim(claims):
        return str(bound["metadata"]["name"])
    for claim in claims:
        if claim["spec"].get("storageClassName") == storage_class:
            return str(claim["metadata"]["name"])
    return f"{CLAIM_NAME}-{storage_class}" if claims else CLAIM_NAME


def own_claims(claims: Sequence[Object]) -> list[Object]:
    """Return the claims that the component created for a class, by their names, which cannot change."""
    return [claim for claim in claims if f"{claim['metadata']['name']}-".startswith(f"{CLAIM_NAME}-")]


def bound_claim(claims: Sequence[Object]) -> Object | None:
    """Return the claim that is bound to a volume, which may hold images."""
    return next((claim for claim in claims if _phase(claim) != "Pending"), None)


def location_of(claim: Object) -> Mapping[str, str]:
    """Return class and access mode of a claim by their inputs."""
    spec = claim["spec"]
    return {"storage_class": spec.get("storageClassName") or "", "storage_access": spec["accessModes"][0]}


def _phase(claim: Object) -> str:
    return str((claim.get("status") or {}).get("phase"))
