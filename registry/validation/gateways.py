"""Rules for the Gateway that clients connect to: its listener must pass TLS through to the registry.

The rules are those of the Gateway API for a TLSRoute, which a controller applies after the deployment.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .errors import InvalidInput, quoted
from .network import ip_version

GATEWAY_API = "gateway.networking.k8s.io/v1"
"""API of Gateways and routes. It has TLSRoute since version 1.5 of the Gateway API."""

Listener = Mapping[str, Any]


class Route(NamedTuple):
    """The namespace of a route with its labels, and the hostnames of the route."""

    namespace: str
    namespace_labels: Mapping[str, str]
    hostnames: Sequence[str]


def route_hostnames(hostname: str, certificate_names: Sequence[str]) -> list[str]:
    """Return the names that clients may type. A client that types an address sends no name to the Gateway."""
    return list(dict.fromkeys(name for name in [hostname, *certificate_names] if not ip_version(name)))


def listener_port(gateway: Mapping[str, Any], name: str) -> int | None:
    """Return the port of the listener, or None if the Gateway does not have it."""
    ports = [int(listener["port"]) for listener in _listeners(gateway) if listener["name"] == name]
    return ports[0] if ports else None


def require_listener(gateway: Mapping[str, Any], name: str, route: Route) -> None:
    """Refuse the name of a listener that does not exist, does not pass TLS through, or does not accept the route."""
    by_name = {listener["name"]: listener for listener in _listeners(gateway)}
    suitable = [other for other, listener in by_name.items() if _passes_through(listener)]
    remedy = f"Use one of {', '.join(suitable)}" if suitable else "Add one with `protocol: TLS` and `mode: Passthrough`"
    if name not in by_name:
        problem = f"names the listener {quoted(name)}, which the Gateway does not have"
        raise InvalidInput("gateway_listener", "listener-missing", problem, remedy)
    if name not in suitable:
        problem = f"names the listener {quoted(name)}, which does not pass TLS through to a TLSRoute"
        raise InvalidInput("gateway_listener", "not-passthrough", problem, remedy)
    listener = by_name[name]
    if not _accepts_namespace(listener, (gateway.get("metadata") or {}).get("namespace"), route):
        problem = f"names a listener that does not accept routes of the namespace {quoted(route.namespace)}"
        remedy = "Change `allowedRoutes.namespaces` of the listener, or the labels of the namespace"
        raise InvalidInput("gateway_listener", "namespace-not-allowed", problem, remedy)
    for hostname in route.hostnames:
        if not _covers(listener.get("hostname"), hostname):
            problem = f"names a listener that serves {listener['hostname']}, and not {quoted(hostname)}"
            remedy = "Change that name, or use another listener"
            raise InvalidInput("gateway_listener", "hostname-not-served", problem, remedy)


def _listeners(gateway: Mapping[str, Any]) -> Sequence[Listener]:
    return (gateway.get("spec") or {}).get("listeners") or []


def _passes_through(listener: Listener) -> bool:
    kinds = (listener.get("allowedRoutes") or {}).get("kinds") or [{"kind": "TLSRoute"}]
    mode = (listener.get("tls") or {}).get("mode")
    return listener["protocol"] == "TLS" and mode == "Passthrough" and "TLSRoute" in [kind["kind"] for kind in kinds]


def _accepts_namespace(listener: Listener, own_namespace: str | None, route: Route) -> bool:
    namespaces = (listener.get("allowedRoutes") or {}).get("namespaces") or {}
    match namespaces.get("from", "Same"):
        case "All":
            return True
        case "Selector":
            return _selects(namespaces.get("selector") or {}, route)
        case "Same":
            return route.namespace == own_namespace
    return False


def _selects(selector: Mapping[str, Any], route: Route) -> bool:
    """Return whether a label selector has the namespace. The API server adds a label with its name."""
    labels = {**route.namespace_labels, "kubernetes.io/metadata.name": route.namespace}
    expressions = [
        *({"key": key, "operator": "In", "values": [value]} for key, value in selector.get("matchLabels", {}).items()),
        *selector.get("matchExpressions", []),
    ]
    return all(_fulfils(labels.get(each["key"]), each["operator"], each.get("values") or []) for each in expressions)


def _fulfils(label: str | None, operator: str, values: Sequence[str]) -> bool:
    """Return whether the value of a label, None without the label, fulfils a requirement of a selector."""
    return {
        "In": label in values,
        "NotIn": label not in values,
        "Exists": label is not None,
        "DoesNotExist": label is None,
    }[operator]


def _covers(served: str | None, hostname: str) -> bool:
    """Return whether a listener with the hostname `served` has the whole `hostname`. A wildcard has all subdomains."""
    if not served or served == hostname:
        return True
    return served.startswith("*.") and hostname.removeprefix("*.") != served[2:] and hostname.endswith(served[1:])
