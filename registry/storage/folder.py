"""A folder on the node, as a volume and the claim that the Pod mounts.

The volume is retained, its folder is never emptied, and the next `pulumi up` finds the images again.

The order is what makes it bind within a second and heal by itself (docs/adr/0006-volume-and-claim.md): the claim comes
first, in no storage class and selecting a label that only this volume has; the volume names the claim and its uid, so
it is bound at once and to nobody else; and a namespace of the registry's own owns it, so that both go together.
"""

from collections.abc import Mapping

import pulumi
from pulumi_kubernetes.core.v1 import (
    Namespace,
    NodeSelectorRequirementArgsDict,
    ObjectReferenceArgsDict,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeSpecArgsDict,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict

from ..args import PrivateRegistryArgs
from ..metadata import NOT_AWAITED, Metadata

CLAIM = "repository"

ACCESS_MODES = ["ReadWriteOnce"]

NO_CLASS = ""
"""Of claim and volume: nothing provisions a volume for them, not even a default class."""

LABEL = "private-registry/namespace"
"""Of the volume, selected by the claim: without a class, any free volume of the cluster would do for it otherwise."""

BOUND = {"pulumi.com/waitFor": "jsonpath={.status.phase}=Bound"}
"""Awaited of the volume, not of the claim, whose binding needs it. The provider's own wait polls every half second."""

"""Of the claim, which nothing binds before the volume is there."""


def claim_folder(
    name: str, given: PrivateRegistryArgs, metadata: Metadata, own_namespace: Namespace | None, parent: pulumi.Resource
) -> pulumi.Output[str]:
    """Volume and claim. The name is known once both are there and bound, so a Pod that mounts it starts at once."""
    make = _healing_pair if own_namespace is not None else _pair
    claim, volume = make(name, given, metadata, own_namespace, parent)
    return pulumi.Output.all(claim.metadata.name, claim.id, volume.id).apply(lambda known: str(known[0]))


Pair = tuple[PersistentVolumeClaim, PersistentVolume]


def _healing_pair(
    name: str, given: PrivateRegistryArgs, metadata: Metadata, own_namespace: Namespace | None, parent: pulumi.Resource
) -> Pair:
    """The claim first, then the volume for its uid: whichever of claim and namespace is lost comes back bound.

    `deleted_with` the namespace: deleted on its own, the volume would wait for ever for a claim that is still bound.
    """
    assert own_namespace is not None
    claim = _claim(f"{name}-claim", given, metadata, NOT_AWAITED, pulumi.ResourceOptions(parent=parent))
    owner = own_namespace.metadata
    of_volume = metadata.of(labels=_only_this(metadata), annotations=BOUND, cluster_scoped=True)
    of_volume["owner_references"] = [{"api_version": "v1", "kind": "Namespace", "name": owner.name, "uid": owner.uid}]
    reference = _reference(claim.metadata.namespace) | {"uid": claim.metadata.uid}
    opts = pulumi.ResourceOptions(parent=parent, deleted_with=own_namespace)
    return claim, _volume(f"{name}-volume", given, of_volume, reference, opts)


def _pair(
    name: str, given: PrivateRegistryArgs, metadata: Metadata, _: Namespace | None, parent: pulumi.Resource
) -> Pair:
    """In a namespace that stays, the volume first: the claim goes before it, and nothing is left."""
    of_volume = metadata.of(labels=_only_this(metadata), cluster_scoped=True)
    opts = pulumi.ResourceOptions(parent=parent)
    volume = _volume(f"{name}-volume", given, of_volume, _reference(metadata.namespace), opts)
    after = pulumi.ResourceOptions(parent=parent, depends_on=[volume])
    return _claim(f"{name}-claim", given, metadata, BOUND, after), volume


def _reference(namespace: pulumi.Input[str]) -> ObjectReferenceArgsDict:
    return {"api_version": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": CLAIM}


def _claim(
    name: str,
    given: PrivateRegistryArgs,
    metadata: Metadata,
    annotations: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> PersistentVolumeClaim:
    return PersistentVolumeClaim(
        name,
        metadata=metadata.of(CLAIM, annotations=annotations),
        spec={
            "access_modes": ACCESS_MODES,
            "storage_class_name": NO_CLASS,
            "selector": {"match_labels": _only_this(metadata)},
            "resources": {"requests": {"storage": given["storage_size"]}},
        },
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=["spec"])),
    )


def _volume(
    name: str,
    given: PrivateRegistryArgs,
    metadata: ObjectMetaArgsDict,
    claim: ObjectReferenceArgsDict,
    opts: pulumi.ResourceOptions,
) -> PersistentVolume:
    """Tied to the node by affinity: on another node the Pod would start on an empty folder."""
    on_node: NodeSelectorRequirementArgsDict = {
        "key": "kubernetes.io/hostname",
        "operator": "In",
        "values": [given["node"]],
    }
    where = ["spec.capacity", "spec.hostPath", "spec.local", "spec.nodeAffinity"]
    return PersistentVolume(
        name,
        metadata=metadata,
        spec={
            "access_modes": ACCESS_MODES,
            "capacity": {"storage": given["storage_size"]},
            "claim_ref": claim,
            **_source(given),
            "node_affinity": {"required": {"node_selector_terms": [{"match_expressions": [on_node]}]}},
            "persistent_volume_reclaim_policy": "Retain",
            "storage_class_name": NO_CLASS,
        },
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=where)),
    )


def _source(given: PrivateRegistryArgs) -> PersistentVolumeSpecArgsDict:
    """The kubelet makes the folder of a host path, for root; that of a local volume is there and gets a group."""
    if given["storage"] == "local":
        return {"local": {"path": given["storage_path"]}}
    return {"host_path": {"path": given["storage_path"], "type": "DirectoryOrCreate"}}


def _only_this(metadata: Metadata) -> Mapping[str, pulumi.Input[str]]:
    return {LABEL: pulumi.Output.from_input(metadata.namespace).apply(str)}
