"""The node that holds the images: looked up, and labelled so that the Pod is pinned to it.

The label is a patch owned by this stack: `pulumi destroy` takes away the label and leaves the node.
"""

import pulumi
import pulumi_kubernetes as kubernetes

from .args import PrivateRegistryArgs


def find_node(name: str, given: PrivateRegistryArgs, opts: pulumi.ResourceOptions) -> kubernetes.core.v1.Node | None:
    """The live node, where images are pinned to it or its version matters: without it `pulumi preview` fails.

    The engine then says "Node (NAME): resource 'x' does not exist" and ends the program; of that message only the
    resource's NAME is ours, so the name tells the remedy. A secret cannot be looked up, and the name of a node is none.
    """
    if not pins(given) and given["exposure"] != "external-ips":
        return None
    known_as = pulumi.Output.unsecret(pulumi.Output.from_input(given["node"]))
    return kubernetes.core.v1.Node.get(f"{name}-from-kubectl-get-nodes", known_as, opts=opts)


def label_node(
    name: str, given: PrivateRegistryArgs, node: kubernetes.core.v1.Node | None, opts: pulumi.ResourceOptions
) -> pulumi.Output[dict[str, str]] | None:
    """Put the label, whoever set it before, on the node; the selector that finds it, known once it is there."""
    if node is None or not pins(given):
        return None
    labels = pulumi.Output.from_input(given["node_label"]).apply(as_labels)
    patch = kubernetes.core.v1.NodePatch(
        name,
        metadata={
            "name": node.metadata.name,
            "labels": labels,
            "annotations": {"pulumi.com/patchForce": "true"},
        },
        opts=opts,
    )
    return pulumi.Output.all(labels, patch.id).apply(lambda known: dict(known[0]))


def pins(given: PrivateRegistryArgs) -> bool:
    """Whether the images lie on a node, to which the registry is pinned."""
    return given["storage"] in ("host-path", "local")


def as_labels(label: str) -> dict[str, str]:
    """`key=value` as a map of labels."""
    key, _, value = label.partition("=")
    return {key: value}
