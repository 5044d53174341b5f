"""Rules for external IPs: ports of nodes, and ports that other Services have at an address."""

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import InvalidInput, quoted

PORTS_OF_NODES = (
    (22, 22, "SSH"),
    (2379, 2380, "etcd"),
    (10250, 10259, "the kubelet, kube-proxy and the control plane"),
    (30000, 32767, "the node ports of Services"),
)
"""First and last port, and who answers there (kubernetes.io, Ports and Protocols). The API server's is looked up."""

EXAMPLE = "Use another port, for example 5000"


def refuse_port_of_nodes(port: int) -> None:
    """Refuse a port that nodes answer on themselves, because the Service would capture it at an external IP."""
    for low, high, user in PORTS_OF_NODES:
        if low <= port <= high:
            problem = f"must not be {port} with external IPs: on a node it belongs to {user}"
            raise InvalidInput("port", "port-of-node", problem, EXAMPLE)


def refuse_address_of_services(
    addresses: Sequence[str], port: int, services: Sequence[Mapping[str, Any]], registry_label: tuple[str, str]
) -> None:
    """Refuse the cluster address of a Service, and a port that another Service has at the same external address.

    `registry_label` is a label of every registry's Service. The Lease of a registry names the stack that has its port.
    """
    key, value = registry_label
    for service in services:
        spec, metadata = service["spec"], service["metadata"]
        name = f"{metadata['namespace']}/{metadata['name']}"
        is_registry = (metadata.get("labels") or {}).get(key) == value
        cluster_ips = [*(spec.get("clusterIPs") or []), spec.get("clusterIP")]
        balancer = (service.get("status") or {}).get("loadBalancer") or {}
        external = [*(spec.get("externalIPs") or []), *(item.get("ip") for item in balancer.get("ingress") or [])]
        for address in addresses:
            if address in cluster_ips:
                problem = f"has {quoted(address)}, the cluster address of the Service {name}"
                remedy = "Use the address of a node, from `kubectl get nodes -o wide`"
                raise InvalidInput("external_ips", "address-of-service", problem, remedy)
            ports = [item["port"] for item in spec.get("ports") or []]
            if not is_registry and address in external and port in ports:
                problem = f"must not be {port}, which the Service {name} already has at {address}"
                raise InvalidInput("port", "port-of-service", problem, "Use another port or another external IP")
