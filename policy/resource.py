"""Resources and Pods as the rules see them."""

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .values import UNKNOWN, items, mapping, may_be, plain

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

NO_VALUES = (None, "", "none", "silly")
"""Values that count as an unset variable of the registry. The login check "silly" accepts every client."""

PROXY_CONTAINER = "proxy"
"""Name of the container that decides on requests before the registry."""


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
                texts[key] = _decode(text) if self.kind == "Secret" else text
        return texts

    @property
    def has_unknown_files(self) -> bool:
        """Whether preview does not know all data of a Secret or a ConfigMap."""
        fields = [self.props.get(name) for name in ("data", "stringData")]
        return any(field is UNKNOWN or UNKNOWN in mapping(field).values() for field in fields)

    @property
    def driver(self) -> Mapping[str, Any]:
        """The storage section of the registry's configuration file, if this is the Secret with the file."""
        if self.has_unknown_files:
            return mapping(UNKNOWN)
        try:
            return mapping(mapping(json.loads(self.files.get("config.yml", "{}"))).get("storage"))
        except json.JSONDecodeError:  # the file of another program
            return {}

    @property
    def pod(self) -> "Pod | None":
        """The Pods that the object creates, or None if it creates none."""
        if self.kind not in TEMPLATES:
            return None
        template: Any = self.props
        for key in TEMPLATES[self.kind]:
            template = mapping(template).get(key)
        fields = mapping(template)
        return Pod(self, mapping(fields.get("metadata")), mapping(fields.get("spec")))


def _decode(text: str) -> str:
    """Return the text in base64, or "" if it is not in base64. The API server refuses it then."""
    try:
        return b64decode(text).decode(errors="replace")
    except ValueError:
        return ""


@dataclass(frozen=True)
class Security:
    """The effective security context of a container. The Pod has the values that the container lacks."""

    own: Mapping[str, Any]
    pod: Mapping[str, Any]

    def get(self, key: str) -> Any:
        value = self.own.get(key)
        return self.pod.get(key) if value is None else value


@dataclass(frozen=True)
class Container:
    """A container."""

    fields: Mapping[str, Any]
    security: Security

    @property
    def name(self) -> str:
        return str(self.fields.get("name"))

    @property
    def image(self) -> str | None:
        """The image, or None if it is unknown."""
        image = self.fields.get("image")
        return image if isinstance(image, str) else None

    @property
    def is_registry(self) -> bool:
        """Whether it runs the registry."""
        repository = (self.image or "").partition("@")[0].rpartition("/")[2].partition(":")[0]
        return REGISTRY_CONTAINER in (self.name, repository)

    @property
    def variables(self) -> Iterator[tuple[str, Any]]:
        """The names and values of the environment. A value from another object is UNKNOWN."""
        for entry in items(self.fields.get("env")):
            fields = mapping(entry)
            yield str(fields.get("name")), UNKNOWN if "valueFrom" in fields else fields.get("value")

    def may_set(self, *names: str) -> bool:
        """Return whether one of the variables has a value, or whether an unknown one may have one."""
        found = [value for name, value in self.variables if name in (*names, str(UNKNOWN))]
        return any(value not in NO_VALUES for value in found)


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
            for fields in map(mapping, items(self.spec.get(key))):
                yield Container(fields, Security(mapping(fields.get("securityContext")), self.security))

    @property
    def registry(self) -> Container | None:
        """The container that runs the registry, if there is one."""
        return next((container for container in self.containers if container.is_registry), None)

    @property
    def has_proxy(self) -> bool:
        """Whether the component's proxy decides on requests before the registry."""
        return self.resource.is_of_registry and any(
            may_be(container.fields.get("name"), PROXY_CONTAINER) for container in self.containers
        )
