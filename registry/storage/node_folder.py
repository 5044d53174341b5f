"""The folder on the node: a volume, and the claim that the Pod mounts.

The volume is retained and its folder is never emptied, so the next `pulumi up` finds the images again.

Claim and volume bind within a second, and only to each other (docs/adr/0006-volume-and-claim.md). The claim has no
storage class, and selects a label that only this volume has. The volume names the claim. If the component created the
namespace, the claim comes first, and the volume also names its UID, so that both bind again after a loss. The namespace
owns the volume then, so that both are deleted together. In an existing namespace the volume comes first.
"""

from collections.abc import Mapping, Sequence

import pulumi
from pulumi_kubernetes.core.v1 import (
    Namespace,
    NodeSelectorRequirementArgsDict,
    ObjectReferenceArgsDict,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeSpecArgsDict,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict, OwnerReferenceArgsDict

from ..context import SKIP_AWAIT, Context
from ..settings import StorageSettings
from ..validation.existing_objects import HOSTNAME_LABEL
from .claims import CLAIM_NAME

ACCESS_MODES = ["ReadWriteOnce"]

NO_CLASS = ""
"""Empty storage class: no provisioner handles the claim or the volume."""

VOLUME_LABEL = "private-registry/namespace"
"""Label that the claim selects its volume by. Without it, the claim could bind to any free volume without a class."""

WAIT_UNTIL_BOUND = {"pulumi.com/waitFor": "jsonpath={.status.phase}=Bound"}
"""Annotation that waits for the binding. The provider's own check polls every half second."""

IMMUTABLE_FIELDS = ["spec.capacity", "spec.hostPath", "spec.local", "spec.nodeAffinity"]
"""Fields of the volume that keep their first values, because the images stay where they are."""

ClaimAndVolume = tuple[PersistentVolumeClaim, PersistentVolume]


def create_folder_claim(
    ctx: Context, settings: StorageSettings, own_namespace: Namespace | None, hostname: pulumi.Input[str]
) -> pulumi.Output[str]:
    """Create volume and claim. Return the claim's name once both are bound, so that the Pod starts at once.

    `hostname` is the label kubernetes.io/hostname of the node.
    """
    if own_namespace is not None:
        claim, volume = _claim_then_volume(ctx, settings, own_namespace, hostname)
    else:
        claim, volume = _volume_then_claim(ctx, settings, hostname)
    return pulumi.Output.all(claim.metadata.name, claim.id, volume.id).apply(lambda resolved: str(resolved[0]))


def _claim_then_volume(
    ctx: Context, settings: StorageSettings, namespace: Namespace, hostname: pulumi.Input[str]
) -> ClaimAndVolume:
    """Create the claim, then a volume with its UID, so both bind again after the claim or the namespace was deleted.

    The volume is deleted with the namespace: alone, its deletion would wait for a claim that is still bound.
    """
    claim = _create_claim(ctx, settings, SKIP_AWAIT)
    metadata = ctx.metadata(labels=_volume_selector(ctx), annotations=WAIT_UNTIL_BOUND, cluster_scoped=True)
    owner: OwnerReferenceArgsDict = {
        "api_version": "v1",
        "kind": "Namespace",
        "name": namespace.metadata.name,
        "uid": namespace.metadata.uid,
    }
    metadata["owner_references"] = [owner]
    reference = _claim_reference(claim.metadata.namespace) | {"uid": claim.metadata.uid}
    opts = ctx.options(deleted_with=namespace, ignore_changes=IMMUTABLE_FIELDS)
    return claim, _create_volume(ctx, settings, hostname, metadata, reference, opts)


def _volume_then_claim(ctx: Context, settings: StorageSettings, hostname: pulumi.Input[str]) -> ClaimAndVolume:
    """Create the volume first in a namespace that stays, so that `pulumi destroy` deletes the claim before it."""
    metadata = ctx.metadata(labels=_volume_selector(ctx), cluster_scoped=True)
    opts = ctx.options(ignore_changes=IMMUTABLE_FIELDS)
    volume = _create_volume(ctx, settings, hostname, metadata, _claim_reference(ctx.namespace), opts)
    return _create_claim(ctx, settings, WAIT_UNTIL_BOUND, after=[volume]), volume


def _claim_reference(namespace: pulumi.Input[str]) -> ObjectReferenceArgsDict:
    return {"api_version": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": CLAIM_NAME}


def _create_claim(
    ctx: Context, settings: StorageSettings, annotations: Mapping[str, str], after: Sequence[pulumi.Resource] = ()
) -> PersistentVolumeClaim:
    return PersistentVolumeClaim(
        f"{ctx.name}-claim",
        metadata=ctx.metadata(CLAIM_NAME, annotations=annotations),
        spec={
            "access_modes": ACCESS_MODES,
            "storage_class_name": NO_CLASS,
            "selector": {"match_labels": _volume_selector(ctx)},
            "resources": {"requests": {"storage": settings.storage_size}},
        },
        opts=ctx.options(depends_on=after, ignore_changes=["spec"]),
    )


def _create_volume(
    ctx: Context,
    settings: StorageSettings,
    hostname: pulumi.Input[str],
    metadata: ObjectMetaArgsDict,
    claim: ObjectReferenceArgsDict,
    opts: pulumi.ResourceOptions,
) -> PersistentVolume:
    """Create the volume with an affinity to the node: on another node the Pod would start on an empty folder."""
    on_node: NodeSelectorRequirementArgsDict = {
        "key": HOSTNAME_LABEL,
        "operator": "In",
        "values": [hostname],
    }
    return PersistentVolume(
        f"{ctx.name}-volume",
        metadata=metadata,
        spec={
            "access_modes": ACCESS_MODES,
            "capacity": {"storage": settings.storage_size},
            "claim_ref": claim,
            **_volume_source(settings),
            "node_affinity": {"required": {"node_selector_terms": [{"match_expressions": [on_node]}]}},
            "persistent_volume_reclaim_policy": "Retain",
            "storage_class_name": NO_CLASS,
        },
        opts=opts,
    )


def _volume_source(settings: StorageSettings) -> PersistentVolumeSpecArgsDict:
    """Return the source. The kubelet creates the folder of a host path. A local volume's folder must exist."""
    if settings.storage == "local":
        return {"local": {"path": settings.storage_path}}
    return {"host_path": {"path": settings.storage_path, "type": "DirectoryOrCreate"}}


def _volume_selector(ctx: Context) -> Mapping[str, pulumi.Input[str]]:
    return {VOLUME_LABEL: pulumi.Output.from_input(ctx.namespace).apply(str)}
