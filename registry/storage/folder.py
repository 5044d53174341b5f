"""A folder on the node, as a volume and the claim that the Pod mounts.

The volume is retained, its folder is never emptied, and the next `pulumi up` finds the images again. What a change of
config would have to replace is refused instead.

The order is what makes it bind within a second and heal by itself (docs/adr/0006-volume-and-claim.md): the claim comes
first, in no storage class and selecting a label that only this volume has; the volume names the claim and its uid, so
it is bound at once and to nobody else; and it is owned by the namespace, so that both go when the namespace goes.
"""

from collections.abc import Mapping

import pulumi
from pulumi_kubernetes.core.v1 import (
    Namespace,
    NodeSelectorRequirementArgsDict,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeSpecArgsDict,
)
from pulumi_kubernetes.core.v1.outputs import PersistentVolumeSpec
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict

from ..args import PrivateRegistryArgs
from ..metadata import Metadata
from ..validation import Described, InvalidInput
from ..validation.quantities import amount

CLAIM = "repository"

ACCESS_MODES = ["ReadWriteOnce"]

NO_CLASS = ""
"""Of claim and volume: nothing provisions a volume for them, not even a default class."""

LABEL = "private-registry/namespace"
"""Of the volume, selected by the claim: without a class, any free volume of the cluster would do for it otherwise."""

BOUND = {"pulumi.com/waitFor": "jsonpath={.status.phase}=Bound"}
"""Awaited of the volume, not of the claim, whose binding needs it. The provider's own wait polls every half second."""

MOVE = "set it back; to move the images: `pulumi destroy` (it keeps them), move the folder, set the key, `pulumi up`"


NOT_AWAITED = {"pulumi.com/skipAwait": "true"}


def claim_folder(
    name: str, given: PrivateRegistryArgs, metadata: Metadata, own_namespace: Namespace | None, parent: pulumi.Resource
) -> pulumi.Output[str]:
    """Volume and claim. The name is known once the volume is there too, so that a Pod that mounts it starts at once."""
    claim = _claim(f"{name}-claim", given, metadata, parent)
    volume = _volume(f"{name}-volume", given, _of_volume(metadata, own_namespace), own_namespace, claim, parent)
    kept = pulumi.Output.all(claim.metadata.name, volume.id, _kept(volume, given))
    return kept.apply(lambda known: str(known[0]))


def _claim(name: str, given: PrivateRegistryArgs, metadata: Metadata, parent: pulumi.Resource) -> PersistentVolumeClaim:
    """The claim, which the volume binds, as it names its uid."""
    return PersistentVolumeClaim(
        name,
        metadata=metadata.of(CLAIM, annotations=NOT_AWAITED),
        spec={
            "access_modes": ACCESS_MODES,
            "storage_class_name": NO_CLASS,
            "selector": {"match_labels": _only_this(metadata)},
            "resources": {"requests": {"storage": given["storage_size"]}},
        },
        opts=pulumi.ResourceOptions(parent=parent, ignore_changes=["spec"]),
    )


def _volume(
    name: str,
    given: PrivateRegistryArgs,
    metadata: ObjectMetaArgsDict,
    own_namespace: Namespace | None,
    claim: PersistentVolumeClaim,
    parent: pulumi.Resource,
) -> PersistentVolume:
    """Tied to the node by affinity: on another node the Pod would start on an empty folder.

    `deleted_with` the namespace: deleted on its own, it would wait for ever for a claim that is still bound.
    """
    on_node: NodeSelectorRequirementArgsDict = {
        "key": "kubernetes.io/hostname",
        "operator": "In",
        "values": [given["node"]],
    }
    return PersistentVolume(
        name,
        metadata=metadata,
        spec={
            "access_modes": ACCESS_MODES,
            "capacity": {"storage": given["storage_size"]},
            "claim_ref": {
                "api_version": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": claim.metadata.namespace,
                "name": claim.metadata.name,
                "uid": claim.metadata.uid,
            },
            **_source(given),
            "node_affinity": {"required": {"node_selector_terms": [{"match_expressions": [on_node]}]}},
            "persistent_volume_reclaim_policy": "Retain",
            "storage_class_name": NO_CLASS,
        },
        opts=pulumi.ResourceOptions(
            parent=parent,
            deleted_with=own_namespace,
            ignore_changes=["spec.capacity", "spec.hostPath", "spec.local", "spec.nodeAffinity"],
        ),
    )


def _source(given: PrivateRegistryArgs) -> PersistentVolumeSpecArgsDict:
    """The kubelet makes the folder of a host path, for root; that of a local volume is there and gets a group."""
    if given["storage"] == "local":
        return {"local": {"path": given["storage_path"]}}
    return {"host_path": {"path": given["storage_path"], "type": "DirectoryOrCreate"}}


def _only_this(metadata: Metadata) -> Mapping[str, pulumi.Input[str]]:
    return {LABEL: pulumi.Output.from_input(metadata.namespace).apply(str)}


def _of_volume(metadata: Metadata, own_namespace: Namespace | None) -> ObjectMetaArgsDict:
    """Nobody waits for the volume in a namespace that stays: told to go, it goes when its claim does, which is next."""
    annotations = NOT_AWAITED if own_namespace is None else BOUND
    of = metadata.of(labels=_only_this(metadata), annotations=annotations, cluster_scoped=True)
    if own_namespace is not None:
        owner = own_namespace.metadata
        of["owner_references"] = [{"api_version": "v1", "kind": "Namespace", "name": owner.name, "uid": owner.uid}]
    return of


def _kept(volume: PersistentVolume, given: PrivateRegistryArgs) -> pulumi.Output[bool]:
    """Refuse what the volume cannot follow: it stays where the images lie, whatever the config says now."""
    terms = volume.spec.node_affinity.required.node_selector_terms
    lies = volume.spec.apply(_path)
    return pulumi.Output.all(
        unchanged("storage_path", lies, given["storage_path"]),
        unchanged("storage_size", volume.spec.capacity["storage"], given["storage_size"]),
        unchanged("node", terms[0].match_expressions[0].values[0], given["node"]),
    ).apply(all)


def _path(spec: PersistentVolumeSpec) -> str:
    source = spec.host_path or spec.local
    return str(source.path if source else None)


def unchanged(key: str, lies: pulumi.Output[str], asked: pulumi.Input[str]) -> pulumi.Output[bool]:
    """Refuse that the images shall lie elsewhere than they do."""

    def compare(both: list[str]) -> bool:
        if both[0] != both[1] and not (key == "storage_size" and _same_size(*both)):
            got = Described(f"{both[1]!r}, which would need another volume")
            raise InvalidInput(key, f"{both[0]!r} as long as the images lie there", got, MOVE)
        return True

    return pulumi.Output.all(lies, asked).apply(compare)


def _same_size(lies: str, asked: str) -> bool:
    """1.5Ti and 1536Gi are one, and the API server writes the latter."""
    return amount("storage_size", lies, "2Gi") == amount("storage_size", asked, "2Gi")
