"""The node that holds the images: looked up, and labelled so that the Pod is pinned to it.

The label is a patch owned by this stack: `pulumi destroy` takes away the label and leaves the node.
"""

import pulumi
import pulumi_kubernetes as kubernetes


def find_node(name: str, node: pulumi.Input[str], opts: pulumi.ResourceOptions) -> kubernetes.core.v1.Node:
    """The live node: without it `pulumi preview` fails, before anything is created.

    The engine then says "Node (NAME): resource 'x' does not exist" and ends the program; of that message only the
    resource's NAME is ours, so the name tells the remedy.
    """
    return kubernetes.core.v1.Node.get(f"{name}-from-kubectl-get-nodes", node, opts=opts)


def label_node(
    name: str, node: kubernetes.core.v1.Node, label: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> pulumi.Output[dict[str, str]]:
    """Put `label`, whoever set it before, on the node; the selector that finds it, known once it is there."""
    labels = pulumi.Output.from_input(label).apply(as_labels)
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


def as_labels(label: str) -> dict[str, str]:
    """`key=value` as a map of labels."""
    key, _, value = label.partition("=")
    return {key: value}
