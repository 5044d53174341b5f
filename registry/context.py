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

PATCH_FORCE = {"pulumi.com/patchForce": "true"}
"""Annotation that lets a patch take over fields that another program has set."""

INSTANCE, NAME = "app.kubernetes.io/instance", "app.kubernetes.io/name"
"""Labels that select the component's Pods."""

COMPONENT = "app.kubernetes.io/component"
"""Label for the purpose of an object."""

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
        recommended: Labels that Kubernetes recommends, for every object. The user's labels may replace them.
        labels: The user's labels for every object.
        annotations: Annotations for every object.
        parent: Resource that new resources belong to.
        namespace: Namespace of new objects.
    """

    name: str
    app: str
    selector: Mapping[str, str]
    recommended: Labels
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    parent: pulumi.Resource
    namespace: pulumi.Input[str]

    def in_namespace(self, namespace: pulumi.Output[str]) -> "Context":
        """Return a context for objects of `namespace`. They wait for the resources that the output depends on."""
        return replace(self, namespace=namespace)

    def below(self, parent: pulumi.Resource, suffix: str) -> "Context":
        """Return a context for the children of `parent`, whose names begin with this name and `suffix`."""
        return replace(self, parent=parent, name=f"{self.name}-{suffix}")

    def for_workload(self, app: str, component: str, image: pulumi.Input[str]) -> "Context":
        """Return a context for the objects of another workload, with its own recommended labels and selector."""
        recommended = {**self.recommended, COMPONENT: component, VERSION: _version_label(image)}
        return replace(self, app=app, selector={**self.selector, NAME: app}, recommended=recommended)

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


def create_context(
    parent: pulumi.Resource,
    name: str,
    app: str,
    *,
    component: str,
    image: pulumi.Input[str],
    namespace: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
) -> Context:
    """Return the context of a component. `component` and the version of `image` become recommended labels."""
    recommended: Labels = {
        PART_OF: "private-registry",
        MANAGED_BY: "pulumi",
        COMPONENT: component,
        VERSION: _version_label(image),
    }
    return Context(
        name=name,
        app=app,
        selector={NAME: app, INSTANCE: namespace},
        recommended=recommended,
        labels=labels,
        annotations=annotations,
        parent=parent,
        namespace=namespace,
    )


def _version_label(image: pulumi.Input[str]) -> pulumi.Output[str]:
    """Return the version of the image for the label of its objects."""
    # The tag is public even if the image is a secret, which would make the metadata of every object secret.
    return pulumi.Output.unsecret(pulumi.Output.from_input(image).apply(version_of))
