"""Addresses of nodes. Every node accepts the clients of a node port."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from .errors import ClusterError
from .stack import Endpoint

NODE_PORTS = range(30000, 32768)
"""Ports of Services with the type NodePort, by default of the API server."""

ADDRESS_TYPES = ("ExternalIP", "InternalIP")
"""Types of a node's addresses, the better one for clients first."""


def address_of_node(node: dict[str, Any]) -> str:
    """Return the address that clients reach the node at, or "" without an address."""
    addresses = (node.get("status") or {}).get("addresses") or []
    by_type = {item["type"]: item["address"] for item in reversed(addresses)}
    return next((by_type[kind] for kind in ADDRESS_TYPES if kind in by_type), "")


def find_address(registry: Endpoint) -> str:
    """Return the address of a node if the registry has a node port, else "". Return "" if the cluster does not answer.

    The stack does not know it, because another node may have replaced the first one.
    """
    if registry.port not in NODE_PORTS or registry.host.endswith(".svc"):
        return ""
    from .kubernetes import connect, convert_api_errors, list_objects  # slow, and most registries have no node port

    with suppress(ClusterError), convert_api_errors():
        return first_address(list_objects(connect(), "Node"))
    return ""


def first_address(nodes: Iterable[dict[str, Any]]) -> str:
    """Return the address of the first node that has one, or ""."""
    return next(filter(None, map(address_of_node, nodes)), "")
