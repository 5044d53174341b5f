"""Resources and Pods as the rules see them."""

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .values import UNKNOWN, items, mapping, plain

REGISTRY = "private-registry:index:PrivateRegistry"
NODE_TRUST = "private-registry:index:NodeTrust"
"""Types of the components. The URN of a resource has those of all components that it belongs to."""

STACK = "pulumi:pulumi:Stack"

TEMPLATES = {
    "Pod": (),
    "PodTemplate": ("template",),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    **{
        kind: ("spec", "template")
        for kind in ("DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController", "StatefulSet")
    },
}
"""Kinds that create Pods, and the path to the Pod's metadata and spec."""

BATCH = ("Job", "CronJob")
"""Kinds whose Pods end by themselves."""

REGISTRY_CONTAINER = "registry"
"""Name of the registry's container, and last component of the name of its image."""


class Options(Protocol):
    """The options of a resource that rules read."""

    protect: bool
    ignore_changes: list[str]
    delete_before_replace: bool | None


class Arguments(Protocol):
    """The description of a resource that pulumi-policy hands to a policy."""

    resource_type: str
    name: str
    urn: str
    props: Mapping[str, Any]

    @property
    def opts(self) -> Options: ...


@dataclass(frozen=True)
class Resource:
    """A resource. Unknown values of its properties are UNKNOWN, and secret texts are `SecretText`.

    Attributes:
        props: The inputs for rules of one resource, and the outputs for rules of the stack.
        ignored: The option `ignore_changes`.
        deletes_first: The option `delete_before_replace`.
    """

    type: str
    name: str
    urn: str
    props: Mapping[str, Any]
    protect: bool = False
    ignored: tuple[str, ...] = ()
    deletes_first: bool = False

    @classmethod
    def of(cls, args: Arguments) -> "Resource":
        """Return the resource of the arguments of a policy."""
        opts = args.opts
        return cls(
            args.resource_type,
            args.name,
            args.urn,
            plain(args.props),
            protect=bool(opts.protect),
            ignored=tuple(opts.ignore_changes),
            deletes_first=bool(opts.delete_before_replace),
        )

    @property
    def kind(self) -> str:
        """The kind of a Kubernetes object, else ""."""
        return self.type.rpartition(":")[2] if self.type.startswith("kubernetes:") else ""

    @property
    def is_of_registry(self) -> bool:
        """Whether a registry's component created it, but not the component that writes to nodes for the registry."""
        return self.belongs_to(REGISTRY) and not self.belongs_to(NODE_TRUST)

    def belongs_to(self, component: str) -> bool:
        """Return whether a component of this type created the resource."""
        return component in self.urn.split("::")[2].split("$")[:-1]

    @property
    def spec(self) -> Mapping[str, Any]:
        return mapping(self.props.get("spec"))

    @property
    def metadata(self) -> Mapping[str, Any]:
        return mapping(self.props.get("metadata"))

    @property
    def files(self) -> dict[str, str]:
        """The known data of a Secret or a ConfigMap by key, decoded."""
        texts = {key: text for key, text in mapping(self.props.get("stringData")).items() if isinstance(text, str)}
        for key, text in mapping(self.props.get("data")).items():
            if isinstance(text, str) and key not in texts:
                texts[key] = b64decode(text).decode(errors="replace") if self.kind == "Secret" else text
        return texts

    @property
    def driver(self) -> Mapping[str, Any]:
        """The storage section of the registry's configuration file, if this is the Secret with the file."""
        try:
            return mapping(mapping(json.loads(self.files.get("config.yml", "{}"))).get("storage"))
        except json.JSONDecodeError:  # the file of another program
            return {}

    @property
    def pod(self) -> "Pod | None":
        """The Pods that the object creates. None if it creates none, or if their spec is unknown."""
        if self.kind not in TEMPLATES:
            return None
        template: Any = self.props
        for key in TEMPLATES[self.kind]:
            template = mapping(template).get(key)
        spec = mapping(template).get("spec")
        return Pod(self, mapping(mapping(template).get("metadata")), spec) if isinstance(spec, Mapping) else None


@dataclass(frozen=True)
class Container:
    """A container and its effective security context, with the values of the Pod for those that it lacks."""

    name: str
    fields: Mapping[str, Any]
    security: Mapping[str, Any]
    image: str | None = field(default=None)

    @property
    def is_registry(self) -> bool:
        """Whether it runs the registry."""
        repository = (self.image or "").partition("@")[0].rpartition("/")[2].partition(":")[0]
        return REGISTRY_CONTAINER in (self.name, repository)

    @property
    def variables(self) -> dict[str, Any]:
        """The values of the environment, without those that come from other objects."""
        return {variable["name"]: variable.get("value") for variable in items(self.fields.get("env"))}


@dataclass(frozen=True)
class Pod:
    """A Pod or the template of Pods."""

    resource: Resource
    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]

    @property
    def security(self) -> Mapping[str, Any]:
        return mapping(self.spec.get("securityContext"))

    @property
    def is_batch(self) -> bool:
        return self.resource.kind in BATCH

    @property
    def containers(self) -> Iterator[Container]:
        """All containers, with init and ephemeral containers."""
        for key in ("containers", "initContainers", "ephemeralContainers"):
            for fields in items(self.spec.get(key)):
                if fields is UNKNOWN:
                    continue
                own = mapping(fields.get("securityContext"))
                image = fields.get("image")
                yield Container(
                    str(fields.get("name")), fields, {**self.security, **own}, image if isinstance(image, str) else None
                )

    @property
    def registry(self) -> Container | None:
        """The container that runs the registry, if there is one."""
        return next((container for container in self.containers if container.is_registry), None)

    @property
    def has_proxy(self) -> bool:
        """Whether the component's proxy decides on requests before the registry."""
        return self.resource.is_of_registry and any(container.name == "proxy" for container in self.containers)
