"""Claims: an existing one, or one with a volume of a StorageClass."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pulumi
from pulumi_kubernetes.core.v1 import PersistentVolumeClaim

from ..context import SKIP_AWAIT, Context
from ..lookup import FoundObjects, Object
from ..settings import StorageSettings
from ..validation.existing_objects import Claim, refuse_unusable_claim
from ..validation.storage import refuse_unshared_claim

CLAIM_NAME = "repository"


def use_claim(
    ctx: Context, settings: StorageSettings, name: pulumi.Input[str], found: pulumi.Output[FoundObjects]
) -> pulumi.Output[str]:
    """Return the existing claim's name. Fail if the Pods cannot mount it, or if several replicas cannot share it."""

    def check(resolved: Sequence[Any]) -> str:
        claim_name, namespace, objects = resolved
        if objects.claim:
            claim = _describe_claim(claim_name, namespace, objects.claim)
            refuse_unusable_claim(claim, settings.mode)
            refuse_unshared_claim(settings.replicas, claim.access_modes)
        return str(claim_name)

    return pulumi.Output.all(name, ctx.namespace, found).apply(check)


def _describe_claim(name: str, namespace: str, claim: Object) -> Claim:
    spec = claim.get("spec") or {}
    return Claim(
        name,
        namespace,
        spec.get("volumeMode"),
        spec.get("accessModes") or [],
        (claim.get("status") or {}).get("phase"),
        is_deleted="deletionTimestamp" in claim["metadata"],
        binding_mode=(claim.get("storageClass") or {}).get("volumeBindingMode"),
    )


def create_claim_of_class(
    ctx: Context,
    settings: StorageSettings,
    storage_class: pulumi.Output[str],
    found: pulumi.Output[FoundObjects],
) -> pulumi.Output[str]:
    """Create a claim that may grow. `pulumi destroy` keeps it, because most classes delete the volume with the claim.

    Do not wait for binding, because a class with WaitForFirstConsumer binds only once the Pod exists. The claim always
    names its class, because it would wait for a volume without a class if the cluster's default class changed.
    """
    name = pulumi.Output.all(found, storage_class).apply(
        lambda both: claim_name(own_claims(both[0].claims or [], ctx.selector), both[1])
    )
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


def class_of_claim(settings: StorageSettings, found: pulumi.Output[FoundObjects]) -> pulumi.Output[str]:
    """Return the class of the input, or the one that was looked up. Return None under Pulumi mocks."""
    if settings.storage_class is not None:
        return pulumi.Output.from_input(settings.storage_class)
    return found.apply(lambda objects: cast(str, objects.storage_class))


def claim_name(claims: Sequence[Object], storage_class: str) -> str:
    """Return the name of the claim: that of the bound one of `claims`, else of one with this class, else a new name.

    Neither the class nor the access mode of a claim can change. So a claim that never bound stays, and another one
    takes its place.
    """
    if bound := bound_claim(claims):
        return str(bound["metadata"]["name"])
    for claim in claims:
        if claim["spec"].get("storageClassName") == storage_class:
            return str(claim["metadata"]["name"])
    return f"{CLAIM_NAME}-{storage_class}" if claims else CLAIM_NAME


def own_claims(claims: Sequence[Object], selector: Mapping[str, str]) -> list[Object]:
    """Return the claims that the component created, by the labels that all its objects have."""
    return [claim for claim in claims if selector.items() <= (claim["metadata"].get("labels") or {}).items()]


def bound_claim(claims: Sequence[Object]) -> Object | None:
    """Return the first claim that has or had a volume, which may hold images. Return None if all are pending."""
    return next((claim for claim in claims if _phase(claim) != "Pending"), None)


def location_of(claim: Object) -> Mapping[str, str]:
    """Return the class and the access mode of a claim, by the names of their inputs."""
    spec = claim["spec"]
    return {"storage_class": spec.get("storageClassName") or "", "storage_access": spec["accessModes"][0]}


def _phase(claim: Object) -> str:
    return str((claim.get("status") or {}).get("phase"))
