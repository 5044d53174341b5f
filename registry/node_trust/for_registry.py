"""Nodes that trust this registry: distribute its CA before it issues the server certificate."""

from dataclasses import dataclass
from typing import NamedTuple

import pulumi

from ..context import INSTANCE, Context
from ..settings import NodeTrustSettings
from . import NodeTrust
from .args import TrustedRegistryArgs


class NodeAddress(NamedTuple):
    """The address of the registry for nodes without DNS."""

    ip: pulumi.Output[str]
    port: int


@dataclass(frozen=True)
class Trust:
    """Resources to deploy before the server certificate, and the addresses that it must have as SANs."""

    after: tuple[pulumi.Resource, ...] = ()
    addresses: tuple[pulumi.Output[str], ...] = ()

    def with_addresses(self, hosts: pulumi.Output[list[str]]) -> pulumi.Output[list[str]]:
        """Return the hosts and the addresses."""
        return pulumi.Output.all(hosts, *self.addresses).apply(lambda resolved: [*resolved[0], *resolved[1:]])


NO_TRUST = Trust()


def trust_on_nodes(
    ctx: Context,
    settings: NodeTrustSettings,
    endpoint: pulumi.Output[str],
    ca_pem: pulumi.Output[str],
    address: NodeAddress | None,
) -> Trust:
    """Let every node trust the registry and reach it by the address of the Service.

    An existing certificate is not for that address. Without `address` the nodes use the name.
    """
    registry: TrustedRegistryArgs = {"endpoint": endpoint, "ca_pem": ca_pem}
    if address is not None:
        registry["address"] = address.ip.apply(lambda ip: f"{bracketed(ip)}:{address.port}")
    trust = NodeTrust(
        f"{ctx.name}-nodes",
        {
            "registries": [registry],
            "namespace": trust_namespace(ctx.selector[INSTANCE]),
            "labels": dict(ctx.labels),
            "annotations": dict(ctx.annotations),
            "containerd_folder": settings.containerd_folder,
            "docker_folder": settings.docker_folder,
            "image": settings.node_trust_image,
        },
        ctx.options(),
    )
    return Trust((trust,), () if address is None else (address.ip,))


def trust_namespace(namespace: str) -> str:
    """Return the namespace of the DaemonSet for the registry in `namespace`."""
    return f"{namespace}-trust"


def bracketed(ip: str) -> str:
    """Return the address for a URL: an IPv6 address gets brackets."""
    return f"[{ip}]" if ":" in ip else ip
