"""A rule: a name, sentences, a level, a config, and a function that yields problems.

The decorators make a rule of a function, which judges a resource, its Pods, their containers, or the whole stack.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .resource import Container, Pod, Resource

MANDATORY, ADVISORY, DISABLED = "mandatory", "advisory", "disabled"
"""Levels. A mandatory rule refuses the change, and an advisory one warns."""

CRITICAL, HIGH, MEDIUM = "critical", "high", "medium"
"""Severities: images or secrets are lost, a protection is missing, a good habit is missing."""

Config = Mapping[str, Any]
Schema = Mapping[str, Mapping[str, Any]]


class Finding(NamedTuple):
    """A problem that a stack has, with the resource that causes it, if any."""

    problem: str
    urn: str | None = None


@dataclass(frozen=True)
class Rule:
    """A rule. Its description is a sentence that is true if the rule is obeyed.

    Attributes:
        remediation: The sentence that follows each problem and says what to do.
        level: The default level.
        config: The JSON schemas of its properties, each with a default.
    """

    name: str
    description: str
    remediation: str
    level: str = MANDATORY
    severity: str = HIGH
    config: Schema = field(default_factory=dict)

    @property
    def defaults(self) -> dict[str, Any]:
        """The default values of the config."""
        return {key: schema["default"] for key, schema in self.config.items()}


ResourceCheck = Callable[[Resource, Config], Iterable[str]]
PodCheck = Callable[[Pod, Config], Iterable[str]]
ContainerCheck = Callable[[Container, Config], Iterable[str]]
StackCheck = Callable[[Sequence[Resource], Config], Iterable[Finding]]


@dataclass(frozen=True, kw_only=True)
class ResourceRule(Rule):
    """A rule for resources. The engine asks it before it creates or updates a resource."""

    check: ResourceCheck


@dataclass(frozen=True, kw_only=True)
class StackRule(Rule):
    """A rule for the resources of a stack together. The engine asks it at the end of a preview or an update."""

    check: StackCheck


def resource_rule(
    name: str, description: str, remediation: str, *, of: Callable[[Resource], bool], **fields: Any
) -> Callable[[ResourceCheck], ResourceRule]:
    """Make a rule for the resources that `of` selects."""

    def decorate(check: ResourceCheck) -> ResourceRule:
        def check_selected(resource: Resource, config: Config) -> Iterable[str]:
            return check(resource, config) if of(resource) else ()

        return ResourceRule(name, description, remediation, check=check_selected, **fields)

    return decorate


def pod_rule(
    name: str, description: str, remediation: str, *, of: Callable[[Pod], bool] = lambda _: True, **fields: Any
) -> Callable[[PodCheck], ResourceRule]:
    """Make a rule for Pods, and for the templates of all kinds that create Pods."""

    def decorate(check: PodCheck) -> ResourceRule:
        def check_pod(resource: Resource, config: Config) -> Iterable[str]:
            pod = resource.pod
            return check(pod, config) if pod is not None and of(pod) else ()

        return ResourceRule(name, description, remediation, check=check_pod, **fields)

    return decorate


def container_rule(
    name: str, description: str, remediation: str, **fields: Any
) -> Callable[[ContainerCheck], ResourceRule]:
    """Make a rule for the containers of Pods. The function yields the text after the container's name."""

    def decorate(check: ContainerCheck) -> ResourceRule:
        def check_containers(pod: Pod, config: Config) -> Iterator[str]:
            for container in pod.containers:
                for problem in check(container, config):
                    yield f"The container `{container.name}` {problem}"

        return pod_rule(name, description, remediation, **fields)(check_containers)

    return decorate


def stack_rule(name: str, description: str, remediation: str, **fields: Any) -> Callable[[StackCheck], StackRule]:
    """Make a rule for the whole stack."""
    return lambda check: StackRule(name, description, remediation, check=check, **fields)


def kinds(*names: str) -> Callable[[Resource], bool]:
    """Select Kubernetes objects of these kinds."""
    return lambda resource: resource.kind in names


def kinds_of_registry(*names: str) -> Callable[[Resource], bool]:
    """Select objects of these kinds that a registry's component created."""
    return lambda resource: resource.kind in names and resource.is_of_registry


def strings(description: str, default: Collection[str] = ()) -> Mapping[str, Any]:
    """Return the JSON schema of a list of texts."""
    return {"type": "array", "items": {"type": "string"}, "default": [*default], "description": description}


def number_from_0(description: str, default: int) -> Mapping[str, Any]:
    """Return the JSON schema of a number from 0 on."""
    return {"type": "integer", "minimum": 0, "default": default, "description": description}
