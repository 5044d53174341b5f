"""Exposure by external IPs: the nodes with these addresses accept connections, as in the guide."""

from typing import Any

import pulumi
from pulumi_kubernetes.core.v1 import ServiceSpecArgsDict

from ..context import Context
from ..settings import ExposureSettings
from ..validation import network
from .kind import ExposureKind, Node, Service, look_up_api_service, traffic_policy


def _spec_fields(ctx: Context, settings: ExposureSettings, node: Node | None) -> ServiceSpecArgsDict:
    assert node is not None, "the exposure needs a node"
    api = look_up_api_service(ctx)
    cluster = pulumi.Output.all(
        node.status.node_info.kubelet_version, api.spec.cluster_ip, api.spec.ports[0].target_port
    )
    external_ips = cluster.apply(lambda resolved: _supported_addresses(settings, *resolved))
    return {"external_ips": external_ips, **traffic_policy(settings)}


def _supported_addresses(settings: ExposureSettings, kubelet_version: str, cluster_ip: str, api_port: Any) -> list[str]:
    """Return the external IPs, if the cluster supports them."""
    network.refuse_api_server_port(settings.port, api_port)
    if warning := network.external_ips_warning(kubelet_version):
        pulumi.log.warn(warning)
    addresses = network.require_cluster_family("external_ips", settings.external_ips, cluster_ip)
    network.refuse_service_addresses(addresses, cluster_ip)
    return addresses


def _addresses(settings: ExposureSettings, service: Service) -> pulumi.Input[list[str]]:
    return settings.external_ips


EXTERNAL_IPS = ExposureKind(needs_node=True, spec_fields=_spec_fields, addresses=_addresses)
