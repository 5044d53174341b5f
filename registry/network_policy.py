"""The NetworkPolicy: clients may connect to the registry, and the registry to the servers that it stores in or mirrors.

The cluster's network plug-in enforces it. A plug-in without support ignores it.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.networking.v1 import (
    NetworkPolicyEgressRuleArgsDict,
    NetworkPolicyIngressRuleArgsDict,
    NetworkPolicyPeerArgsDict,
)

from .context import Context
from .settings import MirrorSettings, StorageSettings

DNS: NetworkPolicyEgressRuleArgsDict = {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]}

NODE_METADATA: NetworkPolicyEgressRuleArgsDict = {
    "to": [{"ip_block": {"cidr": "169.254.169.254/32"}}],
    "ports": [{"protocol": "TCP", "port": 80}],
}
"""Address of AWS for the keys of a node's role."""

TOKEN_SERVER = "https://auth.docker.io"
"""URL of the token server of Docker Hub."""

ANY_POD: NetworkPolicyPeerArgsDict = {"namespace_selector": {}}

SERVICE_URL = re.compile(r"://[^.:/]+\.(?P<namespace>[^.:/]+)\.svc(\.cluster\.local)?(:[0-9]+)?$")
"""The URL of a server inside the cluster."""


class Ports(NamedTuple):
    """Ports of the Pods. `metrics` is None if Prometheus does not scrape them."""

    registry: int
    metrics: int | None


def create_network_policy(
    ctx: Context,
    ports: Ports,
    client_cidrs: pulumi.Input[list[str]],
    storage: StorageSettings,
    mirror: MirrorSettings | None,
    *,
    behind_proxy: bool,
) -> None:
    """Deny every connection to and from the Pods but those of clients, of Prometheus and to the servers they need."""
    clients = pulumi.Output.from_input(client_cidrs).apply(
        lambda cidrs: _client_rule(cidrs, ports.registry, behind_proxy=behind_proxy)
    )
    prometheus: list[NetworkPolicyIngressRuleArgsDict] = []
    if ports.metrics is not None:
        prometheus = [{"from_": [ANY_POD], "ports": [{"protocol": "TCP", "port": ports.metrics}]}]
    node_role = [NODE_METADATA] if storage.uses_node_role else []
    egress = pulumi.Output.all(*_upstreams(storage, mirror)).apply(lambda urls: [*_egress_rules(urls), *node_role])
    kubernetes.networking.v1.NetworkPolicy(
        f"{ctx.name}-policy",
        metadata=ctx.metadata(ctx.app),
        spec={
            "pod_selector": {"match_labels": ctx.selector},
            "policy_types": ["Ingress", "Egress"],
            "ingress": clients.apply(lambda rule: [rule, *prometheus]),
            "egress": egress,
        },
        opts=ctx.options(),
    )


def _client_rule(cidrs: Sequence[str], port: int, *, behind_proxy: bool) -> Any:
    """Return the rule for clients. Behind a proxy its Pod is the client, and it checks the address of the real one."""
    rule: dict[str, Any] = {"ports": [{"protocol": "TCP", "port": port}]}
    if behind_proxy and cidrs:
        rule["from_"] = [ANY_POD]
    elif cidrs:
        rule["from_"] = [{"ip_block": {"cidr": cidr}} for cidr in cidrs]
    return rule


def _upstreams(storage: StorageSettings, mirror: MirrorSettings | None) -> list[pulumi.Input[str]]:
    """Return the URLs of the servers that the registry connects to."""
    urls: list[pulumi.Input[str]] = []
    if storage.storage == "s3":
        urls.append(storage.s3_endpoint or "https://s3.amazonaws.com")
    if mirror is not None:
        urls += [mirror.mirror_of, TOKEN_SERVER]
    return urls


def _egress_rules(urls: Sequence[str]) -> list[Any]:
    """Allow DNS and the ports of the servers. The addresses are open, because a server's address may change."""
    if not urls:
        return []
    ports = sorted({_port(url) for url in urls})
    return [DNS, {"ports": [{"protocol": "TCP", "port": port} for port in ports]}, *_service_namespaces(urls)]


def _service_namespaces(urls: Sequence[str]) -> list[NetworkPolicyEgressRuleArgsDict]:
    """Allow every port in the namespace of a Service. Plug-ins see the Pod's port, which may differ from the URL's."""
    namespaces = [match["namespace"] for url in urls if (match := SERVICE_URL.search(url))]
    return [
        {"to": [{"namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": namespace}}}]}
        for namespace in dict.fromkeys(namespaces)
    ]


def _port(url: str) -> int:
    explicit = re.search(r":([0-9]+)$", url)
    if explicit:
        return int(explicit[1])
    return 443 if url.startswith("https") else 80
