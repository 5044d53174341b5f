"""The nodes' trust in this component's own registry, if asked for: in its CA, before that signs what they check."""

from typing import NamedTuple

import pulumi
import pulumi_kubernetes as kubernetes

from ..args import PrivateRegistryArgs
from . import NodeTrust
from .args import TrustedRegistryArgs


class Trusted(NamedTuple):
    """What the leaf waits for, and addresses that become SANs of it."""

    after: list[pulumi.Resource]
    addresses: list[pulumi.Output[str]]


def trust_registry(
    name: str,
    given: PrivateRegistryArgs,
    endpoint: pulumi.Output[str],
    ca_pem: pulumi.Output[str],
    service: kubernetes.core.v1.Service,
    opts: pulumi.ResourceOptions,
) -> Trusted:
    """By the Service's address, which every node reaches and none has to look up; somebody else's certificate
    (`tls_secret`) is not for that address, so there they go by the name."""
    if not given["node_trust"]:
        return Trusted([], [])
    registry: TrustedRegistryArgs = {"endpoint": endpoint, "ca_pem": ca_pem}
    addresses: list[pulumi.Output[str]] = []
    if given.get("tls_secret") is None:
        addresses = [service.spec.cluster_ip.apply(str)]
        registry["address"] = addresses[0].apply(lambda known: f"{bracketed(known)}:{given['port']}")
    trust = NodeTrust(
        name,
        {
            "registries": [registry],
            "namespace": f"{given['namespace']}-trust",
            "labels": given["labels"],
            "annotations": given["annotations"],
            "containerd_folder": given["containerd_folder"],
            "docker_folder": given["docker_folder"],
            "image": given.get("node_trust_image") or given["image"],
        },
        opts,
    )
    return Trusted([trust], addresses)


def bracketed(address: str) -> str:
    """As it stands before a port."""
    return f"[{address}]" if ":" in address else address
