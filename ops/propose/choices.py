"""Choose the config of a registry from the facts of a cluster. The rules are pure functions."""

from registry.validation import InvalidInput
from registry.validation.storage import default_class

from ..kubernetes import Object
from ..stack import DEFAULT_NAMESPACE
from .exposure import choose_exposure
from .facts import Facts, is_of_registry
from .proposal import Proposal
from .usable_nodes import UsableNode, find_usable_nodes

MOST_CHOICES = 8
"""Most `pulumi config set` lines of a proposal."""

NO_PROVISIONER = "kubernetes.io/no-provisioner"
"""Provisioner of a StorageClass that creates no volumes."""

HOSTNAME_REASON = (
    "Clients type docker-registry, which `python -m ops trust` writes to their /etc/hosts. If a load balancer has only "
    "a name, as on AWS, or for many clients, set a name of your DNS."
)
"""Reason for the default hostname."""

OTHER_NAMESPACE = "private-registry"
"""Namespace to propose if the default one exists already."""


def propose_config(facts: Facts) -> Proposal:
    """Return the proposal for a cluster. Raise if no node can run Pods."""
    nodes = find_usable_nodes(facts.nodes)
    proposal = Proposal(facts.version, [node["metadata"]["name"] for node in facts.nodes])
    _choose_namespace(proposal, facts.namespace)
    choose_exposure(proposal, facts, nodes)
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
    if is_of_registry(namespace):
        proposal.omit("namespace", f"{DEFAULT_NAMESPACE} holds a registry already. Its own stack keeps it.")
        return
    reason = f"The namespace {DEFAULT_NAMESPACE} exists already, and is not a registry's."
    proposal.choose("namespace", OTHER_NAMESPACE, reason)
