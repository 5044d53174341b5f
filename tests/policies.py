"""Resources for the tests of the policy pack, and functions that judge them by the classes of pulumi-policy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pulumi_policy import (
    PolicyCustomTimeouts,
    PolicyResource,
    PolicyResourceOptions,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from policy.pack import policy_of
from policy.resource import REGISTRY
from policy.rules import RULES
from policy.values import SecretText

UNKNOWN = UNKNOWN_STRING_VALUE
"""Text that the engine sends in place of a value that preview does not know."""

SECRET = SecretText("correct horse battery staple")
"""A text that Pulumi marks as secret."""

POLICIES = {rule.name: policy_of(rule) for rule in RULES}

GROUPS = {
    **dict.fromkeys(("Pod", "Secret", "ConfigMap", "Namespace"), "core/v1"),
    **dict.fromkeys(("PersistentVolume", "PersistentVolumeClaim", "Service"), "core/v1"),
    **dict.fromkeys(("Deployment", "DaemonSet", "StatefulSet"), "apps/v1"),
    **dict.fromkeys(("CronJob", "Job"), "batch/v1"),
    **dict.fromkeys(("NetworkPolicy", "Ingress"), "networking.k8s.io/v1"),
    **dict.fromkeys(("Role", "ClusterRole"), "rbac.authorization.k8s.io/v1"),
    "PodDisruptionBudget": "policy/v1",
}
"""API group and version of each kind."""

Fields = dict[str, Any]


@dataclass(frozen=True)
class Fixture:
    """A resource as the engine describes it."""

    type: str
    props: Fields
    name: str = "registry"
    components: tuple[str, ...] = ()
    protect: bool = False
    ignore_changes: tuple[str, ...] = ()
    delete_before_replace: bool | None = None

    @property
    def urn(self) -> str:
        return f"urn:pulumi:test::project::{'$'.join([*self.components, self.type])}::{self.name}"

    @property
    def _options(self) -> PolicyResourceOptions:
        timeouts = PolicyCustomTimeouts(0, 0, 0)
        ignored, first = [*self.ignore_changes], self.delete_before_replace
        return PolicyResourceOptions(self.protect, ignored, first, [], timeouts, [])

    def arguments(self, config: Mapping[str, Any]) -> ResourceValidationArgs:
        """Return what pulumi-policy hands to a policy for resources."""
        props = unknown_checking_proxy(self.props)
        return ResourceValidationArgs(self.type, props, self.urn, self.name, self._options, None, config)

    def in_stack(self) -> PolicyResource:
        """Return what pulumi-policy hands to a policy for the stack."""
        props = unknown_checking_proxy(self.props)
        return PolicyResource(self.type, props, self.urn, self.name, self._options, None, None, [], {})


@dataclass(frozen=True)
class Case:
    """A rule with resources that obey it and resources that break it. A text is expected in the first problem."""

    rule: str
    good: Sequence[Fixture]
    bad: Sequence[Fixture]
    text: str
    config: Mapping[str, Any] = field(default_factory=dict)


def judge(rule: str, fixtures: Sequence[Fixture], config: Mapping[str, Any] | None = None) -> list[str]:
    """Return the violations of a rule that the resources have."""
    violations: list[str] = []
    policy = POLICIES[rule]

    def report(message: str, urn: str | None = None) -> None:
        violations.append(message)

    if isinstance(policy, StackValidationPolicy):
        policy.validate(StackValidationArgs([fixture.in_stack() for fixture in fixtures], config), report)
    else:
        assert isinstance(policy, ResourceValidationPolicy)
        for fixture in fixtures:
            policy.validate(fixture.arguments(config or {}), report)
    return violations


def kubernetes(kind: str, props: Fields, *components: str, **options: Any) -> Fixture:
    """Return an object of the kind, which the components have created."""
    return Fixture(f"kubernetes:{GROUPS[kind]}:{kind}", props, components=components, **options)


def of_registry(kind: str, props: Fields, **options: Any) -> Fixture:
    """Return an object of the kind, which a registry has created."""
    return kubernetes(kind, props, REGISTRY, **options)


def container(**fields: Any) -> Fields:
    """Return a container of a Pod that obeys every rule, with other values for some fields."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    return {
        "name": "registry",
        "image": "registry:3.1.2",
        "env": [
            {"name": "REGISTRY_AUTH", "value": "htpasswd"},
            {"name": "REGISTRY_HTTP_TLS_CERTIFICATE", "value": "/certs/tls.crt"},
        ],
        "resources": {"limits": {"memory": "512Mi"}},
        "readinessProbe": {"httpGet": {"path": "/"}},
        "livenessProbe": {"httpGet": {"path": "/"}},
        **fields,
        "securityContext": security | fields.get("securityContext", {}),
    }


def pod_spec(*containers: Fields, **fields: Any) -> Fields:
    """Return the spec of a Pod that obeys every rule, with other containers, or other values for some fields."""
    security = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "automountServiceAccountToken": False,
        "containers": [*containers] or [container()],
        **fields,
        "securityContext": security | fields.get("securityContext", {}),
    }


def pod(*containers: Fields, metadata: Fields | None = None, **fields: Any) -> Fixture:
    """Return a Pod of a registry."""
    default = {"namespace": "registry", "labels": {"app": "registry"}}
    return of_registry("Pod", {"metadata": metadata or default, "spec": pod_spec(*containers, **fields)})


def deployment(spec: Fields, **fields: Any) -> Fixture:
    """Return a Deployment of a registry."""
    template = {"metadata": {"labels": {"app": "registry"}}, "spec": spec}
    return of_registry("Deployment", {"metadata": {"namespace": "registry"}, "spec": {"template": template, **fields}})


def foreign(fixture: Fixture) -> Fixture:
    """Return the same resource outside of a registry."""
    return Fixture(fixture.type, fixture.props, fixture.name)
