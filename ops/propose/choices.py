"""Choose the config of a registry from the facts of a cluster. The rules are pure functions."""

import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from registry.pods import CONTROL_PLANE
from registry.validation import InvalidInput
from registry.validation.existing_objects import hostname_of
from registry.validation.external_ips import external_ips_warning
from registry.validation.gateways import Route, require_listener
from registry.validation.storage import default_class
from registry.validation.tolerations import CONDITION_PREFIXES, Toleration, check_taints

from ..errors import CommandError
from ..kubernetes import Object
from ..nodes import first_address
from ..stack import DEFAULT_NAMESPACE
from .facts import Facts

MOST_CHOICES = 8
"""Most `pulumi config set` lines of a proposal."""

NAME_LABEL, APP = "app.kubernetes.io/name", "docker-registry"
"""Label of the registry's objects, and its value, which is also the default hostname."""

FIRST_NODE_PORT, LAST_NODE_PORT = 30500, 32767
"""Ports that are proposed, the first free one."""

CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"
"""Label of the nodes of the control plane. The images go to another node if there is one."""

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

NO_PROVISIONER = "kubernetes.io/no-provisioner"
"""Provisioner of a StorageClass that creates no volumes."""

HOSTNAME_REASON = (
    "Clients type docker-registry, which `python -m ops trust` writes to their /etc/hosts. If a load balancer has only "
    "a name, as on AWS, or for many clients, set a name of your DNS."
)

OTHER_NAMESPACE = "private-registry"
"""Namespace to propose if the default one exists already."""


@dataclass(frozen=True)
class Choice:
    """A value for an input, or for a part of it, and the reason in one sentence."""

    key: str
    value: str
    reason: str

    @property
    def command(self) -> str:
        """Return the command that sets the value."""
        path = "--path " if "[" in self.key else ""
        return f"pulumi config set {path}{shlex.quote(self.key)} {shlex.quote(self.value)}"


@dataclass(frozen=True)
class Omission:
    """A choice that was not made, and why."""

    subject: str
    reason: str


@dataclass
class Proposal:
    """The choices, and what was not chosen.

    Attributes:
        version: Version of the API server.
        nodes: Names of all nodes.
        address: Address for clients, if the stack will not know it: that of a node or of a Gateway.
    """

    version: str
    nodes: list[str]
    choices: list[Choice] = field(default_factory=list)
    omissions: list[Omission] = field(default_factory=list)
    address: str = ""

    def value_of(self, key: str) -> str:
        """Return the value that was chosen for an input, or ""."""
        return next((choice.value for choice in self.choices if choice.key == key), "")

    def choose(self, key: str, value: str, reason: str) -> None:
        """Add a choice."""
        self.choices.append(Choice(key, value, reason))

    def omit(self, subject: str, reason: str) -> None:
        """Add what was not chosen."""
        self.omissions.append(Omission(subject, reason))


@dataclass(frozen=True)
class UsableNode:
    """A node that Pods can run on, if they tolerate the taint `tainted_by`, which is "" for most nodes."""

    name: str
    tainted_by: str
    is_control_plane: bool
    node: Object

    @property
    def preference(self) -> tuple[bool, bool, str]:
        """Return a key to sort by: untainted workers first."""
        return bool(self.tainted_by), self.is_control_plane, self.name


def propose_config(facts: Facts) -> Proposal:
    """Return the proposal for a cluster. Raise if no node can run Pods."""
    nodes = sorted(_usable_nodes(facts.nodes), key=lambda node: node.preference)
    if not nodes:
        raise CommandError("No node of the cluster can run the registry.", "See `kubectl get nodes`, and add a node.")
    proposal = Proposal(facts.version, [node["metadata"]["name"] for node in facts.nodes])
    _choose_namespace(proposal, facts.namespace)
    _choose_exposure(proposal, facts, nodes)
    _choose_storage(proposal, facts, nodes[0])
    reason = "A Deployment starts again on its own after a drain or a deletion, and a bare Pod does not."
    proposal.choose("workload", "deployment", reason)
    if nodes[0].tainted_by:
        reason = f"Every node has a taint, and {nodes[0].name} has only {nodes[0].tainted_by}."
        proposal.choose("tolerations[0].key", nodes[0].tainted_by, reason)
        proposal.choose("tolerations[0].operator", "Exists", "The registry tolerates every value of this taint.")
    proposal.omit("hostname", HOSTNAME_REASON)
    proposal.omit("node_trust", "If Pods shall run images of the registry, set it to true. It changes every node.")
    return proposal


def _usable_nodes(nodes: list[Object]) -> Iterator[UsableNode]:
    """Yield the Linux nodes that are ready and have at most one taint that the registry does not tolerate."""
    for node in nodes:
        name, labels = node["metadata"]["name"], node["metadata"].get("labels") or {}
        conditions = (node.get("status") or {}).get("conditions") or []
        is_ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
        tainted_by = _needed_toleration(name, node)
        if is_ready and tainted_by is not None and labels.get("kubernetes.io/os", "linux") == "linux":
            yield UsableNode(name, tainted_by, CONTROL_PLANE_LABEL in labels, node)


def _needed_toleration(name: str, node: Object) -> str | None:
    """Return the key of the taint that must be tolerated, "" if there is none, or None if Pods cannot run there."""
    spec = node.get("spec") or {}
    own: list[Toleration] = [{"key": str(CONTROL_PLANE["key"]), "operator": "Exists", "effect": "NoSchedule"}]
    keys = [taint["key"] for taint in spec.get("taints") or []]
    # Kubernetes removes the taint of a condition when the node recovers. Until then another node is better.
    for key in ("", *(key for key in keys if not key.startswith(CONDITION_PREFIXES))):
        more: list[Toleration] = [{"key": key, "operator": "Exists"}] if key else []
        try:
            hostname_of(name, node["metadata"].get("labels"))
            return None if check_taints(name, spec, [*own, *more], len(more)) else key
        except InvalidInput:
            continue
    return None


def _choose_exposure(proposal: Proposal, facts: Facts, nodes: list[UsableNode]) -> None:
    """Choose a load balancer if the cluster has one, else a Gateway that passes TLS through, else a node port."""
    address = first_address(node.node for node in nodes)
    if reason := _load_balancer(facts):
        proposal.choose("exposure", "load-balancer", reason)
        proposal.omit("exposure node-port", "The load balancer serves the usual port 5000, at an address of its own.")
    elif found := _passthrough_listener(proposal, facts, nodes[0]):
        gateway, listener = found
        name, namespace = gateway["metadata"]["name"], gateway["metadata"]["namespace"]
        reason = f"The listener {listener} of the Gateway {namespace}/{name} passes TLS through."
        proposal.choose("exposure", "gateway", reason)
        proposal.choose("gateway", name, "It is the first Gateway with such a listener.")
        proposal.choose("gateway_namespace", namespace, "The Gateway is in this namespace.")
        proposal.choose("gateway_listener", listener, "It accepts routes of the registry's namespace.")
        addresses = (gateway.get("status") or {}).get("addresses") or []
        proposal.address = next((item["value"] for item in addresses if item.get("type") == "IPAddress"), "")
        proposal.omit("exposure node-port", "The Gateway serves all clients at one address.")
    elif address:
        port = _free_node_port(facts.services)
        reason = f"No Service has an address from a load balancer. Clients connect to a node, such as {address}."
        proposal.choose("exposure", "node-port", reason)
        proposal.choose("node_port", str(port), f"No Service has the port {port}.")
        proposal.address = address
        proposal.omit("exposure load-balancer", "No Service has an address from a load balancer, so it might wait.")
        proposal.omit("exposure external-ips", _reason_against_external_ips(facts.version))
    else:
        proposal.choose("exposure", "cluster", "No node has an address, so only Pods can reach the registry.")
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
    route = Route(proposal.value_of("namespace") or DEFAULT_NAMESPACE, {NAME_LABEL: APP}, [APP])
    for gateway in facts.gateways if not node.tainted_by else []:
        for listener in gateway["spec"]["listeners"]:
            with suppress(InvalidInput):
                require_listener(gateway, listener["name"], route)
                return gateway, listener["name"]
    return None


def _free_node_port(services: list[Object]) -> int:
    """Return the registry's own node port if it is deployed, else the first free one."""
    own = [service for service in services if _is_of_registry(service)]
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


def _choose_storage(proposal: Proposal, facts: Facts, node: UsableNode) -> None:
    """Choose the default StorageClass, else the only class with a provisioner, else a folder of the node."""
    classes = [item for item in facts.storage_classes if item.get("provisioner") != NO_PROVISIONER]
    names = [item["metadata"]["name"] for item in classes]
    name = _default_class(facts.storage_classes)
    if name in names:
        proposal.choose("storage", "class", f"The cluster's default StorageClass, {name}, provisions the volume.")
    elif len(names) == 1:
        name = names[0]
        proposal.choose("storage", "class", f"The StorageClass {name} provisions the volume.")
        proposal.choose("storage_class", name, "It is not the default of the cluster, so it has to be named.")
    if name in names:
        proposal.omit("storage host-path", "The images would be lost with their node.")
        proposal.omit("storage_size", "The volume has 2Gi, unless you set another size before the first `pulumi up`.")
        return
    proposal.choose("node", node.name, "The node's folder /var/lib/docker-registry/repository holds the images.")
    reason = f"None of {', '.join(sorted(names))} is the default." if names else "No StorageClass provisions volumes."
    proposal.omit("storage class", reason)
    proposal.omit("storage s3", "It needs a bucket and its keys. The images are lost with the node otherwise.")


def _default_class(classes: list[Object]) -> str:
    """Return the name of the default class, or ""."""
    try:
        return default_class(classes)
    except InvalidInput:
        return ""


def _choose_namespace(proposal: Proposal, namespace: Object | None) -> None:
    """Choose another namespace if the default one exists and is not a registry's."""
    if namespace is None:
        return
    if _is_of_registry(namespace):
        proposal.omit("namespace", f"{DEFAULT_NAMESPACE} holds a registry already. Its own stack keeps it.")
        return
    reason = f"The namespace {DEFAULT_NAMESPACE} exists already, and is not a registry's."
    proposal.choose("namespace", OTHER_NAMESPACE, reason)


def _is_of_registry(item: Object) -> bool:
    """Return whether a registry of this component created the object."""
    return (item["metadata"].get("labels") or {}).get(NAME_LABEL) == APP
