"""Where the images live: a folder on the node, as a volume and the claim that the Pod mounts.

The objects come and go with the stack; the bytes stay. The volume is retained, its folder is never emptied, and the
next `pulumi up` finds the images again. What a change of config would have to replace is refused instead.

The order is what makes it bind within a second and heal by itself (docs/adr/0006-volume-and-claim.md): the claim comes
first, in no storage class and selecting a label that only this volume has; the volume names the claim and its uid, so
it is bound at once and to nobody else; and it is owned by the namespace, so that both go when the namespace goes.
"""

from typing import NamedTuple

import pulumi
from pulumi_kubernetes.core.v1 import (
    Namespace,
    NodeSelectorRequirementArgsDict,
    PersistentVolume,
    PersistentVolumeClaim,
)
from pulumi_kubernetes.meta.v1 import OwnerReferenceArgsDict

from .validation import Described, InvalidInput

ACCESS_MODES = ["ReadWriteOnce"]

NO_CLASS = ""
"""Of claim and volume: nothing provisions a volume for them, not even a default class."""

LABEL = "private-registry/namespace"
"""Of the volume, selected by the claim: without a class, any free volume of the cluster would do for it otherwise."""

BOUND = {"pulumi.com/waitFor": "jsonpath={.status.phase}=Bound"}
"""Awaited of the volume, not of the claim, whose binding needs it. The provider's own wait polls every half second."""

MOVE = "set it back; to move the images: `pulumi destroy` (it keeps them), move the folder, set the key, `pulumi up`"


class HostPath(NamedTuple):
    """A folder on one node. `size` is what the claim asks for; a host path enforces no limit."""

    path: pulumi.Input[str]
    size: pulumi.Input[str]
    node: pulumi.Input[str]


class Storage(pulumi.ComponentResource):
    """Volume and claim."""

    claim_name: pulumi.Output[str]
    """Known once the volume is there too, so that a Pod that mounts the claim starts at once."""

    def __init__(
        self, name: str, folder: HostPath, namespace: Namespace, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("private-registry:index:Storage", name, {}, opts)
        claim = _claim(f"{name}-claim", folder, namespace, parent=self)
        volume = _volume(f"{name}-volume", folder, namespace, claim, parent=self)
        kept = pulumi.Output.all(claim.metadata.name, volume.id, _kept(volume, folder))
        self.claim_name = kept.apply(lambda known: str(known[0]))
        self.register_outputs({"claim_name": self.claim_name})


def _claim(name: str, folder: HostPath, namespace: Namespace, parent: pulumi.Resource) -> PersistentVolumeClaim:
    """The claim, which the volume binds, as it names its uid."""
    return PersistentVolumeClaim(
        name,
        metadata={
            "name": "repository",
            "namespace": namespace.metadata.name,
            "annotations": {"pulumi.com/skipAwait": "true"},
        },
        spec={
            "access_modes": ACCESS_MODES,
            "storage_class_name": NO_CLASS,
            "selector": {"match_labels": {LABEL: namespace.metadata.name}},
            "resources": {"requests": {"storage": folder.size}},
        },
        opts=pulumi.ResourceOptions(parent=parent, ignore_changes=["spec"]),
    )


def _volume(
    name: str, folder: HostPath, namespace: Namespace, claim: PersistentVolumeClaim, parent: pulumi.Resource
) -> PersistentVolume:
    """Tied to the node by affinity: on another node the Pod would start on an empty folder.

    `deleted_with` the namespace: deleted on its own, it would wait for ever for a claim that is still bound.
    """
    on_node: NodeSelectorRequirementArgsDict = {
        "key": "kubernetes.io/hostname",
        "operator": "In",
        "values": [folder.node],
    }
    owner: OwnerReferenceArgsDict = {
        "api_version": "v1",
        "kind": "Namespace",
        "name": namespace.metadata.name,
        "uid": namespace.metadata.uid,
    }
    return PersistentVolume(
        name,
        metadata={
            "annotations": BOUND,
            "labels": {LABEL: namespace.metadata.name},
            "owner_references": [owner],
        },
        spec={
            "access_modes": ACCESS_MODES,
            "capacity": {"storage": folder.size},
            "claim_ref": {
                "api_version": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": claim.metadata.namespace,
                "name": claim.metadata.name,
                "uid": claim.metadata.uid,
            },
            "host_path": {"path": folder.path, "type": "DirectoryOrCreate"},
            "node_affinity": {"required": {"node_selector_terms": [{"match_expressions": [on_node]}]}},
            "persistent_volume_reclaim_policy": "Retain",
            "storage_class_name": NO_CLASS,
        },
        opts=pulumi.ResourceOptions(
            parent=parent,
            deleted_with=namespace,
            ignore_changes=["spec.capacity", "spec.hostPath", "spec.nodeAffinity"],
        ),
    )


def _kept(volume: PersistentVolume, folder: HostPath) -> pulumi.Output[bool]:
    """Refuse what the volume cannot follow: it stays where the images lie, whatever the config says now."""
    terms = volume.spec.node_affinity.required.node_selector_terms
    return pulumi.Output.all(
        _unchanged("storage_path", volume.spec.host_path.path, folder.path),
        _unchanged("storage_size", volume.spec.capacity["storage"], folder.size),
        _unchanged("node", terms[0].match_expressions[0].values[0], folder.node),
    ).apply(all)


def _unchanged(key: str, lies: pulumi.Output[str], asked: pulumi.Input[str]) -> pulumi.Output[bool]:
    def compare(both: list[str]) -> bool:
        if both[0] != both[1]:
            got = Described(f"{both[1]!r}, which would need another volume")
            raise InvalidInput(key, f"{both[0]!r} as long as the images lie there", got, MOVE)
        return True

    return pulumi.Output.all(lies, asked).apply(compare)
