"""The context of one component: the names of its resources, and the metadata of its objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict

from .validation.images import version_of

SKIP_AWAIT = {"pulumi.com/skipAwait": "true"}
"""Annotation that skips the provider's readiness check.

For a Service the check costs ten seconds and repeats the Pod's readiness. A claim cannot bind before its volume, which
is created later."""

INSTANCE, NAME = "app.kubernetes.io/instance", "app.kubernetes.io/name"
"""Labels that select the component's Pods."""

COMPONENT = "app.kubernetes.io/component"
"""Label that says what an object is for."""

PART_OF, MANAGED_BY, VERSION = (
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
)
"""Other labels that Kubernetes recommends for every object."""

Labels = Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True)
class Context:
    """The names, metadata and parent for the resources of a part.

    Attributes:
        name: Prefix of the resources' names in the state.
        app: Kubernetes name of the workload and its Service.
        selector: Labels that select the component's Pods.
        recommended: Recommended labels for every object. The user's labels may replace them.
        labels: The user's labels for every object.
        annotations: Annotations for every object.
        parent: Resource that new resources belong to.
        namespace: Namespace of new objects.
    """

    name: str
    app: str
    selector: Mapping[str, str]
    recommended: Mapping[str, str]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    parent: pulumi.Resource
    namespace: pulumi.Input[str]

    def in_namespace(self, namespace: pulumi.Output[str]) -> "Context":
        """Return a context for objects of `namespace`. They wait for what its value depends on."""
        return replace(self, namespace=namespace)

    def below(self, parent: pulumi.Resource, suffix: str) -> "Context":
        """Return a context for the children of `parent`, whose names begin with this name and `suffix`."""
        return replace(self, parent=parent, name=f"{self.name}-{suffix}")

    def options(self, depends_on: Sequence[pulumi.Input[pulumi.Resource]] = (), **more: Any) -> pulumi.ResourceOptions:
        """Return options for a resource that belongs to the parent."""
        return pulumi.ResourceOptions(parent=self.parent, depends_on=[*depends_on] or None, **more)

    def metadata(
        self,
        name: pulumi.Input[str] | None = None,
        *,
        labels: Labels | None = None,
        annotations: Labels | None = None,
        cluster_scoped: bool = False,
    ) -> ObjectMetaArgsDict:
        """Return the metadata of the object `name`. Without a name, the provider generates one."""
        metadata: ObjectMetaArgsDict = {
            "labels": {**self.recommended, **self.labels, **self.selector, **(labels or {})}
        }
        if merged := {**self.annotations, **(annotations or {})}:
            metadata["annotations"] = merged
        if name is not None:
            metadata["name"] = name
        if not cluster_scoped:
            metadata["namespace"] = self.namespace
        return metadata

    def lookup_id(self, name: pulumi.Input[str]) -> pulumi.Output[str]:
        """Return the id of an existing object in the namespace. The provider cannot look up a secret id."""
        return pulumi.Output.unsecret(pulumi.Output.concat(self.namespace, "/", name))


def recommended_labels(component: str, image: pulumi.Input[str]) -> dict[str, str]:
    """Return the recommended labels but name and instance, which are the selector.

    The version is the tag of the image, if the image is known before deployment.
    """
    labels = {PART_OF: "private-registry", MANAGED_BY: "pulumi", COMPONENT: component}
    if isinstance(image, str) and (version := version_of(image)):
        labels[VERSION] = version
    return labels
