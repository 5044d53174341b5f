"""The label that pins the Pods to the node that holds the images."""

import pulumi
import pulumi_kubernetes as kubernetes

from .context import PATCH_FORCE, Context


def label_node(ctx: Context, label: pulumi.Input[str], node: pulumi.Input[str]) -> pulumi.Output[dict[str, str]]:
    """Label the node of this name, and return the selector for it once the label is set.

    The label is a patch that belongs to this stack. `pulumi destroy` removes the label and leaves the node.
    """
    labels = pulumi.Output.from_input(label).apply(parse_label)
    patch = kubernetes.core.v1.NodePatch(
        f"{ctx.name}-label",
        metadata={
            "name": node,
            "labels": labels,
            "annotations": PATCH_FORCE,
        },
        opts=ctx.options(),
    )
    return pulumi.Output.all(labels, patch.id).apply(lambda resolved: dict(resolved[0]))


def parse_label(label: str) -> dict[str, str]:
    """Return `key=value` as a map."""
    key, _, value = label.partition("=")
    return {key: value}
