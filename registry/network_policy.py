"""The NetworkPolicy: the connections that the Pods of the registry may accept and open.

The cluster's network plug-in enforces it. A plug-in without support ignores it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.networking.v1 import (
    NetworkPolicyEgressRuleArgsDict,
    NetworkPolicyIngressRuleArgsDict,
    NetworkPolicyPeerArgsDict,
)

from .context import Context
from .pods import ANY_POD
from .settings import StorageSettings
from .upstreams import egress_rules

NODE_METADATA: NetworkPolicyEgressRuleArgsDict = {
    "to": [{"ip_block": {"cidr": "169.254.169.254/32"}}],
    "ports": [{"protocol": "TCP", "port": 80}],
}
"""Address of AWS, of Azure and of Google for the keys of a node's role."""

TOKEN_SERVICE: NetworkPolicyEgressRuleArgsDict = {"ports": [{"protocol": "TCP", "port": 443}]}
"""Servers of AWS and of Azure that give a ServiceAccount the keys of its role."""

POD_IDENTITY: NetworkPolicyEgressRuleArgsDict = {
    "to": [{"ip_block": {"cidr": "169.254.170.23/32"}}, {"ip_block": {"cidr": "fd00:ec2::23/128"}}],
    "ports": [{"protocol": "TCP", "port": 80}],
}
"""Agent of EKS Pod Identity, which gives a ServiceAccount the keys of its role too."""

GKE_METADATA: NetworkPolicyEgressRuleArgsDict = {
    "to": [{"ip_block": {"cidr": "169.254.169.252/32"}}],
    "ports": [{"protocol": "TCP", "port": 988}],
}
"""Metadata server of GKE, which gives a ServiceAccount the keys of its role. A policy sees its own address and port.

Source: https://cloud.google.com/kubernetes-engine/docs/how-to/network-policy"""

ACCOUNT_ROLES = {"s3": [TOKEN_SERVICE, POD_IDENTITY], "azure": [TOKEN_SERVICE], "gcs": [GKE_METADATA]}
"""Servers for the keys of a ServiceAccount's role, by the kind of object store."""


class Ports(NamedTuple):
    """Ports of the Pods. `metrics` is None if Prometheus does not scrape them."""

    registry: int
    metrics: int | None


def create_network_policy(
    ctx: Context,
    ports: Ports,
    client_cidrs: pulumi.Input[list[str]],
    storage: StorageSettings,
    servers: pulumi.Output[list[str]],
    *,
    behind_ingress: bool,
    has_account: bool,
    exporter: Mapping[str, str] | None = None,
) -> None:
    """Allow connections from clients, Prometheus and the exporter, and to `servers`. Deny every other connection.

    `servers` are the URLs of the servers and proxies that the registry connects to. `behind_ingress` means that an
    Ingress controller connects to the registry for the clients. `has_account` means that the Pods have a ServiceAccount
    of their own, which may have a role. `exporter` has the labels of the exporter's Pod.
    """
    clients = pulumi.Output.from_input(client_cidrs).apply(
        lambda cidrs: _client_rule(cidrs, ports.registry, behind_ingress=behind_ingress)
    )
    prometheus: list[NetworkPolicyIngressRuleArgsDict] = []
    if ports.metrics is not None:
        prometheus = [{"from_": [ANY_POD], "ports": [{"protocol": "TCP", "port": ports.metrics}]}]
    if exporter is not None:
        own: NetworkPolicyPeerArgsDict = {"pod_selector": {"match_labels": exporter}}
        prometheus.append({"from_": [own], "ports": [{"protocol": "TCP", "port": ports.registry}]})
    roles = [NODE_METADATA, *(ACCOUNT_ROLES[storage.storage] if has_account else [])] if storage.uses_role else []
    egress = pulumi.Output.all(ctx.namespace, servers).apply(
        lambda known: [*egress_rules(known[1], own_namespace=known[0]), *roles]
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


def _client_rule(cidrs: Sequence[str], port: int, *, behind_ingress: bool) -> Any:
    """Return the rule for clients. Behind an Ingress all Pods may connect, and its controller checks the clients."""
    rule: dict[str, Any] = {"ports": [{"protocol": "TCP", "port": port}]}
    if behind_ingress and cidrs:
        rule["from_"] = [ANY_POD]
    elif cidrs:
        rule["from_"] = [{"ip_block": {"cidr": cidr}} for cidr in cidrs]
    return rule
