"""Rules for external IPs: the Kubernetes versions that support them, and the addresses and ports that are in use."""

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from .errors import InvalidInput, quoted
from .families import require_service_family

PORTS_OF_NODES = (
    (22, 22, "SSH"),
    (2379, 2380, "etcd"),
    (10250, 10259, "the kubelet, kube-proxy and the control plane"),
    (30000, 32767, "the node ports of Services"),
)
"""First and last port, and the program that listens there (kubernetes.io, Ports and Protocols). The port of the
API server is looked up."""

SERVICE_PREFIX = {4: 24, 6: 120}
"""Prefix length by IP family. The API server's address with this prefix gives a part of the Service network."""

DEPRECATED, REMOVED = (1, 36), (1, 40)
"""Kubernetes versions: the first that warns of Service.spec.externalIPs, and the first that may ignore it."""

EXAMPLE = "Use another port, for example 5000"

Service = Mapping[str, Any]


def refuse_port_of_nodes(port: int) -> None:
    """Refuse a port that nodes answer on themselves, because the Service would capture it at an external IP."""
    for low, high, user in PORTS_OF_NODES:
        if low <= port <= high:
            problem = f"must not be {port} with external IPs: on a node it belongs to {user}"
            raise InvalidInput("port", "port-of-node", problem, EXAMPLE)


def external_ips_warning(kubelet_version: str) -> str:
    """Return a warning if the cluster deprecates external IPs, else "". Refuse them if it ignores them.

    `kubelet_version` is that of a node, such as v1.36.3.
    """
    numbers = re.match(r"v(\d+)\.(\d+)", kubelet_version or "")
    version = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    if version >= REMOVED:
        problem = f"must not be external-ips: Kubernetes {kubelet_version} ignores external IPs"
        remedy = "Set `exposure` to load-balancer, node-port or ingress"
        raise InvalidInput("exposure", "external-ips-ignored", problem, remedy)
    if version < DEPRECATED:
        return ""
    return (
        "`exposure: external-ips` is deprecated since Kubernetes 1.36, and Kubernetes 1.40 may ignore it. "
        "Before you upgrade the cluster, set `exposure` to load-balancer, node-port or ingress."
    )


def refuse_taken_addresses(
    addresses: Sequence[str],
    port: int,
    api_server: Service | None,
    services: Sequence[Service],
    registry_label: tuple[str, str],
    service_versions: set[int],
) -> None:
    """Refuse addresses and ports that the cluster, or another of its `services`, uses already.

    `api_server` is the API server's Service, or None if it is not known. It has the first address of the Service
    network, and the port of the API server. Services with `registry_label` are those of registries. Their ports are
    left to the Leases, whose messages name the other stack. `service_versions` are the families of the registry's own
    Service.
    """
    if api_server:
        require_service_family("external_ips", addresses, service_versions)
        refuse_api_server_port(port, api_server["spec"]["ports"][0]["targetPort"])
        _refuse_cluster_addresses(addresses, services, api_server["spec"]["clusterIP"])
    key, value = registry_label
    for service in services:
        if (service["metadata"].get("labels") or {}).get(key) != value:
            _refuse_port_of_service(addresses, port, service)


def refuse_api_server_port(port: int, api_port: float | str) -> None:
    """Refuse the API server's port, because the Service would capture the node's API traffic."""
    if api_port in (port, str(port)):
        problem = f"must not be {port}, the port of the API server: the nodes could not reach it any more"
        raise InvalidInput("port", "port-of-api-server", problem, EXAMPLE)


def _refuse_cluster_addresses(addresses: Sequence[str], services: Sequence[Service], api_address: str) -> None:
    """Refuse addresses of Services, which no node has.

    The Service network cannot be looked up, but the API server has the first address of it
    (kube-apiserver, --service-cluster-ip-range).
    """
    network = ip_network((api_address, SERVICE_PREFIX[ip_address(api_address).version]), strict=False)
    used = {address for service in services for address in _cluster_addresses(service)}
    for address in addresses:
        if ip_address(address) in network or address in used:
            problem = f"has {quoted(address)}, a cluster address of Services, which no other host can reach"
            remedy = "Use the address of a node, which `kubectl get nodes -o wide` shows"
            raise InvalidInput("external_ips", "address-of-services", problem, remedy)


def _refuse_port_of_service(addresses: Sequence[str], port: int, service: Service) -> None:
    """Refuse a port that the other Service has at one of the addresses."""
    spec, metadata = service["spec"], service["metadata"]
    balancer = (service.get("status") or {}).get("loadBalancer") or {}
    external = [*(spec.get("externalIPs") or []), *(item.get("ip") for item in balancer.get("ingress") or [])]
    for address in addresses:
        if address in external and port in [item["port"] for item in spec.get("ports") or []]:
            name = f"{metadata['namespace']}/{metadata['name']}"
            problem = f"must not be {port}, which the Service {name} already has at {address}"
            raise InvalidInput("port", "port-of-service", problem, "Use another port or another external IP")


def _cluster_addresses(service: Service) -> Iterator[str]:
    yield from filter(None, [service["spec"].get("clusterIP"), *(service["spec"].get("clusterIPs") or [])])
