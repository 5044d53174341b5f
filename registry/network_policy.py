"""The NetworkPolicy: clients may connect to the registry, and the registry to the servers that it stores in or mirrors.

The cluster's network plug-in enforces it. A plug-in without support ignores it.
"""

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
from .settings import StorageSettings
from .upstreams import server_port, service_namespace

DNS: NetworkPolicyEgressRuleArgsDict = {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]}

NODE_METADATA: NetworkPolicyEgressRuleArgsDict = {
    "to": [{"ip_block": {"cidr": "169.254.169.254/32"}}],
    "ports": [{"protocol": "TCP", "port": 80}],
}
"""Address of AWS for the keys of a node's role."""

ANY_POD: NetworkPolicyPeerArgsDict = {"namespace_selector": {}}


class Ports(NamedTuple):
    """Ports of the Pods. `metrics` is None if Prometheus does not scrape them."""

    registry: int
    metrics: int | None


def create_network_policy(
    ctx: Context,
    ports: Ports,
    client_cidrs: pulumi.Input[list[str]],
    storage: StorageSettings,
    upstreams: pulumi.Output[list[str]],
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
    egress = pulumi.Output.all(ctx.namespace, upstreams).apply(
        lambda known: [*_egress_rules(known[1], own_namespace=known[0]), *node_role]
    )
    kubernetes.networking.v1.NetworkPolicy(
        f"{ctx.name}-policy",
        metadata=ctx.metadata(ctx.app),
        spec={
            "pod_selector": {"match_labels": ctx.selector},
            "policy_types": ["Ingress", "Egress"],
            "ingress": clients.apply(lambda rule: [rule, *prometheus]),
            "egress": pulumi.Output.unsecret(egress),  # the URLs of proxies are secret, their ports are not
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


def _egress_rules(urls: Sequence[str], *, own_namespace: str) -> list[Any]:
    """Allow DNS and the ports of the servers. The addresses are open, because a server's address may change."""
    if not urls:
        return []
    ports = sorted({server_port(url) for url in urls})
    servers = {"ports": [{"protocol": "TCP", "port": number} for number in ports]}
    return [DNS, servers, *_service_namespaces(urls, own_namespace)]


def _service_namespaces(urls: Sequence[str], own_namespace: str) -> list[NetworkPolicyEgressRuleArgsDict]:
    """Allow every port in the namespace of a Service. Plug-ins see the Pod's port, which may differ from the URL's."""
    namespaces = filter(None, [service_namespace(url, own_namespace) for url in urls])
    return [
        {"to": [{"namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": namespace}}}]}
        for namespace in dict.fromkeys(namespaces)
    ]
