"""Choose the exposure: a load balancer, a Gateway or a node port."""

from contextlib import suppress

from registry.validation import InvalidInput
from registry.validation.external_ips import external_ips_warning
from registry.validation.gateways import Route, require_listener

from ..kubernetes import Object
from ..nodes import first_address
from ..stack import DEFAULT_NAMESPACE
from .facts import APP, NAME_LABEL, Facts, is_of_registry
from .proposal import Proposal
from .usable_nodes import UsableNode

FIRST_NODE_PORT, LAST_NODE_PORT = 30500, 32767
"""Ports that are proposed, the first free one."""

CLOUDS = {
    "aws": "AWS",
    "azure": "Azure",
    "digitalocean": "DigitalOcean",
    "gce": "Google Cloud",
    "hcloud": "Hetzner Cloud",
    "ibm": "IBM Cloud",
    "linode": "Linode",
    "oci": "Oracle Cloud",
    "scaleway": "Scaleway",
}
"""Clouds whose controllers create load balancers, by the scheme of `spec.providerID` of their nodes."""

INGRESS_NGINX = "k8s.io/ingress-nginx"
"""Controller that reads the annotations of the exposure `ingress`."""

NO_LISTENER = "None of its listeners passes TLS through and accepts the registry's namespace and hostname."
"""Reason against a Gateway."""


def choose_exposure(proposal: Proposal, facts: Facts, nodes: list[UsableNode]) -> None:
    """Choose a load balancer if the cluster has one, else a Gateway that passes TLS through, else a node port."""
    address = first_address(node.node for node in nodes)
    if reason := _load_balancer(facts):
        proposal.choose("exposure", "load-balancer", reason)
        proposal.omit("exposure node-port", "The load balancer serves the usual port 5000.")
    elif found := _passthrough_listener(proposal, facts, nodes[0]):
        _choose_gateway(proposal, *found)
    elif address:
        _choose_node_port(proposal, facts, address)
    else:
        proposal.choose("exposure", "cluster", "No node has an address, so only Pods can reach the registry.")
    _omit_other_exposures(proposal, facts)


def _choose_gateway(proposal: Proposal, gateway: Object, listener: str) -> None:
    name, namespace = gateway["metadata"]["name"], gateway["metadata"]["namespace"]
    reason = f"The listener {listener} of the Gateway {namespace}/{name} passes TLS through."
    proposal.choose("exposure", "gateway", reason)
    proposal.choose("gateway", name, "It is the first Gateway with such a listener.")
    proposal.choose("gateway_namespace", namespace, "The Gateway is in this namespace.")
    proposal.choose("gateway_listener", listener, "It accepts routes of the registry's namespace.")
    addresses = (gateway.get("status") or {}).get("addresses") or []
    proposal.address = next((item["value"] for item in addresses if item.get("type") == "IPAddress"), "")
    proposal.omit("exposure node-port", "The Gateway serves all clients at one address.")


def _choose_node_port(proposal: Proposal, facts: Facts, address: str) -> None:
    port = _free_node_port(facts.services)
    reason = f"No Service has an address from a load balancer. Clients connect to a node, such as {address}."
    proposal.choose("exposure", "node-port", reason)
    proposal.choose("node_port", str(port), "No other Service has this port.")
    proposal.address = address
    proposal.omit("exposure load-balancer", "No Service has an address from a load balancer, so it might wait.")
    proposal.omit("exposure external-ips", _reason_against_external_ips(facts.version))


def _omit_other_exposures(proposal: Proposal, facts: Facts) -> None:
    """Name the Gateways and IngressClasses that were not chosen."""
    for gateway in facts.gateways if proposal.value_of("exposure") != "gateway" else []:
        name = f"{gateway['metadata']['namespace']}/{gateway['metadata']['name']}"
        is_suitable = bool(_suitable_listener(gateway, _route(proposal)))
        reason = "It needs more inputs, and a name that resolves to it." if is_suitable else NO_LISTENER
        proposal.omit(f"exposure gateway with {name}", reason)
    for ingress_class in facts.ingress_classes:
        name = ingress_class["metadata"]["name"]
        proposal.omit(f"exposure ingress with {name}", _reason_against_ingress(ingress_class))


def _load_balancer(facts: Facts) -> str:
    """Return the reason for a load balancer, or "" if no evidence shows that the cluster has one."""
    for service in facts.services:
        status = (service.get("status") or {}).get("loadBalancer") or {}
        if (service.get("spec") or {}).get("type") != "LoadBalancer":
            continue
        for item in status.get("ingress") or []:
            name = f"{service['metadata']['namespace']}/{service['metadata']['name']}"
            return f"The Service {name} has {item.get('ip') or item.get('hostname')} from a load balancer."
    for node in facts.nodes:
        scheme = str((node.get("spec") or {}).get("providerID") or "").partition("://")[0]
        if scheme in CLOUDS:
            return f"The nodes run on {CLOUDS[scheme]}, which creates load balancers, at a price."
    return ""


def _passthrough_listener(proposal: Proposal, facts: Facts, node: UsableNode) -> tuple[Object, str] | None:
    """Return a Gateway and its listener that accepts the route of the registry, or None.

    With tolerations, the choices would be more than MOST_CHOICES.
    """
    for gateway in facts.gateways if not node.tainted_by else []:
        if listener := _suitable_listener(gateway, _route(proposal)):
            return gateway, listener
    return None


def _route(proposal: Proposal) -> Route:
    """Return the route that the registry would have."""
    return Route(proposal.value_of("namespace") or DEFAULT_NAMESPACE, {NAME_LABEL: APP}, [APP])


def _suitable_listener(gateway: Object, route: Route) -> str:
    """Return the name of the first listener that passes TLS through and accepts the route, or ""."""
    for listener in gateway["spec"].get("listeners") or []:
        with suppress(InvalidInput):
            require_listener(gateway, listener["name"], route)
            return str(listener["name"])
    return ""


def _free_node_port(services: list[Object]) -> int:
    """Return the registry's own node port if it is deployed, else the first free one."""
    own = [service for service in services if is_of_registry(service)]
    for service in own:
        for port in service["spec"].get("ports") or []:
            if port.get("nodePort"):
                return int(port["nodePort"])
    used = {port.get("nodePort") for service in services for port in service["spec"].get("ports") or []}
    return next(port for port in range(FIRST_NODE_PORT, LAST_NODE_PORT + 1) if port not in used)


def _reason_against_external_ips(version: str) -> str:
    try:
        warning = external_ips_warning(version)
    except InvalidInput:
        return f"Kubernetes {version} ignores external IPs."
    return "Kubernetes deprecates external IPs since 1.36." if warning else "Kubernetes 1.36 deprecates external IPs."


def _reason_against_ingress(ingress_class: Object) -> str:
    controller = ingress_class["spec"].get("controller")
    if controller != INGRESS_NGINX:
        return f"Its controller {controller} does not read the annotations of ingress-nginx."
    return "It serves port 443, but needs a name that resolves to its controller. See docs/choosing.md."
