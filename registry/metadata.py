"""What every object of one registry bears: its namespace, labels and annotations."""

from collections.abc import Mapping
from typing import NamedTuple

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict

NOT_AWAITED = {"pulumi.com/skipAwait": "true"}
"""Annotation of what nobody waits for: of a Service it would take the provider ten seconds to look for endpoints, and
the workload's readiness has said what they would say; a claim is bound by what comes after it."""

Texts = Mapping[str, pulumi.Input[str]]


class Metadata(NamedTuple):
    """Of one registry. `selector` are the labels by which its Pods are found; `labels` are on every object beside."""

    selector: Mapping[str, str]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    namespace: pulumi.Input[str] = ""

    def of(
        self,
        name: pulumi.Input[str] | None = None,
        *,
        labels: Texts | None = None,
        annotations: Texts | None = None,
        cluster_scoped: bool = False,
    ) -> ObjectMetaArgsDict:
        """The metadata of the object `name`, or of one that the provider names."""
        metadata: ObjectMetaArgsDict = {"labels": {**self.labels, **self.selector, **(labels or {})}}
        if both := {**self.annotations, **(annotations or {})}:
            metadata["annotations"] = both
        if name is not None:
            metadata["name"] = name
        if not cluster_scoped:
            metadata["namespace"] = self.namespace
        return metadata

    def id_of(self, name: pulumi.Input[str]) -> pulumi.Output[str]:
        """What the provider looks an object of this namespace up by. It cannot by a secret, and a name is none."""
        return pulumi.Output.unsecret(pulumi.Output.concat(self.namespace, "/", name))
