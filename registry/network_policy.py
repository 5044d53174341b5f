"""Who may talk to the registry, and whom it may talk to: its clients; the servers that it stores in or mirrors.

Kubernetes leaves it to the cluster's network plug-in to enforce this; one that does not ignores it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.networking.v1 import (
    NetworkPolicyEgressRuleArgsDict,
    NetworkPolicyIngressRuleArgsDict,
    NetworkPolicyPeerArgsDict,
)

from .args import PrivateRegistryArgs
from .metadata import Metadata

DNS: NetworkPolicyEgressRuleArgsDict = {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]}

ROLE: NetworkPolicyEgressRuleArgsDict = {
    "to": [{"ip_block": {"cidr": "169.254.169.254/32"}}],
    "ports": [{"protocol": "TCP", "port": 80}],
}
"""Where AWS tells a node the keys of its role."""

TOKENS = "https://auth.docker.io"
"""Of such a server a registry may send its clients for a token."""

ANY_POD: NetworkPolicyPeerArgsDict = {"namespace_selector": {}}

SERVICE = re.compile(r"://[^.:/]+\.(?P<namespace>[^.:/]+)\.svc(\.cluster\.local)?(:[0-9]+)?$")
"""The URL of a server inside the cluster."""


def shield(
    name: str,
    app: str,
    given: PrivateRegistryArgs,
    ports: Mapping[str, int],
    metadata: Metadata,
    opts: pulumi.ResourceOptions,
) -> None:
    """Deny everything to and from the registry's Pods but their `ports`, and the servers that they depend on."""
    listed = pulumi.Output.from_input(given["client_cidrs"])
    clients = listed.apply(lambda known: _clients(known, ports["registry"], behind=given["exposure"] == "ingress"))
    watchers: list[NetworkPolicyIngressRuleArgsDict] = (
        [{"from_": [ANY_POD], "ports": [{"protocol": "TCP", "port": ports["metrics"]}]}] if given["metrics"] else []
    )
    by_role = given["storage"] == "s3" and given.get("s3_access_key") is None and given.get("s3_secret") is None
    upstream = pulumi.Output.all(*_upstreams(given)).apply(lambda urls: [*_egress(urls), *([ROLE] if by_role else [])])
    kubernetes.networking.v1.NetworkPolicy(
        name,
        metadata=metadata.of(app),
        spec={
            "pod_selector": {"match_labels": metadata.selector},
            "policy_types": ["Ingress", "Egress"],
            "ingress": clients.apply(lambda rule: [rule, *watchers]),
            "egress": upstream,
        },
        opts=opts,
    )


def _clients(cidrs: Sequence[str], port: int, *, behind: bool) -> Any:
    """One rule. Behind an Ingress the controller's Pod is the client, and asks the real one's address itself."""
    rule: dict[str, Any] = {"ports": [{"protocol": "TCP", "port": port}]}
    if behind and cidrs:
        rule["from_"] = [ANY_POD]
    elif cidrs:
        rule["from_"] = [{"ip_block": {"cidr": cidr}} for cidr in cidrs]
    return rule


def _upstreams(given: PrivateRegistryArgs) -> list[pulumi.Input[str]]:
    """URLs of the servers that the registry itself is a client of."""
    urls: list[pulumi.Input[str]] = []
    if given["storage"] == "s3":
        urls.append(given.get("s3_endpoint") or "https://s3.amazonaws.com")
    if given["mode"] == "mirror":
        urls += [given["mirror_of"], TOKENS]
    return urls


def _egress(urls: Sequence[str]) -> list[Any]:
    """To any address, as a server's may change: its port, and the DNS that finds it."""
    if not urls:
        return []
    ports = sorted({_port(url) for url in urls})
    return [DNS, {"ports": [{"protocol": "TCP", "port": port} for port in ports]}, *_behind_services(urls)]


def _behind_services(urls: Sequence[str]) -> list[NetworkPolicyEgressRuleArgsDict]:
    """Network plug-ins see the port of the Pod, which the URL of a Service need not tell: any, in its namespace."""
    found = [match["namespace"] for url in urls if (match := SERVICE.search(url))]
    return [
        {"to": [{"namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": namespace}}}]}
        for namespace in dict.fromkeys(found)
    ]


def _port(url: str) -> int:
    given = re.search(r":([0-9]+)$", url)
    return int(given[1]) if given else 443 if url.startswith("https") else 80
