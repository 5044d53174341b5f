"""Rules about who reaches a registry, and who may push."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..resource import Pod, Resource
from ..rule import (
    CRITICAL,
    DISABLED,
    MEDIUM,
    Config,
    Finding,
    kinds,
    kinds_of_registry,
    pod_rule,
    resource_rule,
    stack_rule,
)
from ..values import UNKNOWN, items, mapping

PROXY_FILE = "haproxy.cfg"
"""File of the proxy that decides on requests, in a Secret of the component."""

ALLOWED = re.compile(r"^\s*http-request set-var\(txn\.allowed\) bool\(true\) if (?P<condition>.+)$", re.MULTILINE)
"""Line of the file that allows requests."""

WITH_LOGIN = re.compile(r"(?:^| )(?:known|authenticated|users\d+)(?: |$)")
"""Condition that is true for clients with a login only."""

PULLS = re.compile(r"^(?:ping public|reads (?:pull\d+|\{ path /v2/_catalog \}))$")
"""Conditions that need no login: pulls, the list of repositories, and the test of the API."""

LOGIN_CHECK = re.compile(r'(?:^|[{,])\s*"?auth"?\s*:', re.MULTILINE)
"""Section of a registry's configuration that checks logins."""

LOGIN_VARIABLES = ("REGISTRY_AUTH", "REGISTRY_AUTH_HTPASSWD_PATH", "REGISTRY_AUTH_TOKEN_REALM")
TLS_VARIABLES = ("REGISTRY_HTTP_TLS_CERTIFICATE", "REGISTRY_HTTP_TLS_LETSENCRYPT_CACHEFILE")
"""Variables of a registry that checks logins, and of one that serves TLS."""


@resource_rule(
    "anonymous-may-not-push",
    "A client without a login may not push or delete.",
    "Give the group anonymous the right to pull at most.",
    of=lambda resource: resource.kind in ("Secret", "ConfigMap") and PROXY_FILE in resource.files,
    severity=CRITICAL,
)
def anonymous_may_not_push(resource: Resource, config: Config) -> Iterator[str]:
    for match in ALLOWED.finditer(resource.files[PROXY_FILE]):
        condition = match["condition"].strip()
        if not WITH_LOGIN.search(condition) and not PULLS.match(condition):
            yield f"An access rule of `{resource.name}` allows it without a login: {condition}."


@stack_rule(
    "registry-requires-a-login",
    "Every registry checks logins.",
    "Set `users`, `users_secret`, `access` or `token`. For another registry set REGISTRY_AUTH.",
    severity=CRITICAL,
)
def registry_requires_a_login(resources: Sequence[Resource], config: Config) -> Iterator[Finding]:
    files = {
        (resource.kind, resource.metadata.get("name")): resource for resource in resources if resource.kind in FILES
    }
    for resource in resources:
        pod = resource.pod
        if pod is not None and not _checks_logins(pod, files):
            yield Finding(
                f"The registry in {resource.kind} `{resource.name}` serves clients without a login.", resource.urn
            )


FILES = {"Secret": ("secret", "secretName"), "ConfigMap": ("configMap", "name")}
"""Kinds with files, and the fields of a volume that name such an object."""


def _checks_logins(pod: Pod, files: Mapping[tuple[str, Any], Resource]) -> bool:
    """Return whether the Pod runs no registry, or one that checks logins, or one whose configuration is not known."""
    registry = pod.registry
    if registry is None or pod.is_batch or pod.has_proxy:
        return True
    if registry.may_set(*LOGIN_VARIABLES):
        return True
    mounted = [
        (kind, mapping(volume.get(source)).get(name))
        for volume in items(pod.spec.get("volumes"))
        for kind, (source, name) in FILES.items()
        if mapping(volume).get(source) is not None
    ]
    if any(reference not in files or files[reference].has_unknown_files for reference in mounted):
        return True
    texts = [text for reference in mounted for text in files[reference].files.values()]
    return any(LOGIN_CHECK.search(text) for text in texts)


@pod_rule(
    "registry-serves-tls",
    "A registry serves TLS.",
    "Mount a certificate, and set REGISTRY_HTTP_TLS_CERTIFICATE and REGISTRY_HTTP_TLS_KEY.",
    of=lambda pod: pod.resource.is_of_registry and not pod.is_batch,
    severity=CRITICAL,
)
def registry_serves_tls(pod: Pod, config: Config) -> Iterator[str]:
    registry = pod.registry
    if registry is not None and not pod.has_proxy and not registry.may_set(*TLS_VARIABLES):
        yield f"The container `{registry.name}` serves passwords and images in plain text."


@resource_rule(
    "ingress-uses-tls",
    "Every host of an Ingress has a certificate.",
    "Add the host to `tls`.",
    of=kinds("Ingress"),
)
def ingress_uses_tls(resource: Resource, config: Config) -> Iterator[str]:
    covered = [host for entry in items(resource.spec.get("tls")) for host in items(mapping(entry).get("hosts"))]
    for rule in items(resource.spec.get("rules")):
        host = mapping(rule).get("host")
        if UNKNOWN not in (host, *covered) and host not in covered:
            yield f"The Ingress `{resource.name}` serves {host or 'every host'} without TLS."


@stack_rule(
    "registry-has-a-network-policy",
    "A NetworkPolicy limits the connections of every registry.",
    "Keep the NetworkPolicy of the component.",
)
def registry_has_a_network_policy(resources: Sequence[Resource], config: Config) -> Iterator[Finding]:
    policies = [resource for resource in resources if resource.kind == "NetworkPolicy"]
    for resource in resources:
        pod = resource.pod
        if pod is not None and resource.is_of_registry and not any(_selects(policy, pod) for policy in policies):
            yield Finding(f"No NetworkPolicy selects the Pods of {resource.kind} `{resource.name}`.", resource.urn)


def _selects(policy: Resource, pod: Pod) -> bool:
    """Return whether the policy selects the Pods. An unknown label or namespace counts as equal."""
    namespaces = (policy.metadata.get("namespace"), pod.resource.metadata.get("namespace"))
    labels = mapping(pod.metadata.get("labels"))
    selected = mapping(mapping(policy.spec.get("podSelector")).get("matchLabels"))
    pairs = [namespaces, *((value, labels.get(key)) for key, value in selected.items())]
    return all(UNKNOWN in pair or pair[0] == pair[1] for pair in pairs)


@resource_rule(
    "network-policy-has-both-directions",
    "The NetworkPolicies of a registry limit incoming and outgoing connections.",
    "Set `policyTypes` to [Ingress, Egress].",
    of=kinds_of_registry("NetworkPolicy"),
)
def network_policy_has_both_directions(resource: Resource, config: Config) -> Iterator[str]:
    types = items(resource.spec.get("policyTypes"))
    if UNKNOWN not in types and not all(direction in types for direction in ("Ingress", "Egress")):
        yield f"The NetworkPolicy `{resource.name}` limits one direction only."


@resource_rule(
    "network-policy-limits-clients",
    "Only clients of some networks connect to a registry.",
    "Set `client_cidrs`.",
    of=kinds_of_registry("NetworkPolicy"),
    level=DISABLED,
    severity=MEDIUM,
)
def network_policy_limits_clients(resource: Resource, config: Config) -> Iterator[str]:
    for rule in items(resource.spec.get("ingress")):
        if not mapping(rule).get("from"):
            yield f"The NetworkPolicy `{resource.name}` allows clients of all networks."


@resource_rule(
    "role-has-no-wildcard",
    "No role has all verbs or all resources.",
    "Name the verbs and the resources.",
    of=kinds("Role", "ClusterRole"),
)
def role_has_no_wildcard(resource: Resource, config: Config) -> Iterator[str]:
    for rule in items(resource.props.get("rules")):
        for field in ("apiGroups", "resources", "verbs"):
            if "*" in items(mapping(rule).get(field)):
                yield f'The role `{resource.name}` has "*" in `{field}`.'


RULES = (
    anonymous_may_not_push,
    registry_requires_a_login,
    registry_serves_tls,
    ingress_uses_tls,
    registry_has_a_network_policy,
    network_policy_has_both_directions,
    network_policy_limits_clients,
    role_has_no_wildcard,
)
