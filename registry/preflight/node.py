"""The lookup of the node that holds the images."""

import pulumi
import pulumi_kubernetes as kubernetes

from ..context import Context
from ..lookup import lookup_name


def look_up_node(ctx: Context, name: pulumi.Input[str]) -> kubernetes.core.v1.Node:
    """Look up the node, so that `pulumi preview` fails without it."""
    # The provider cannot look up a secret, and the name of a node is public.
    public = pulumi.Output.unsecret(pulumi.Output.from_input(name))
    return kubernetes.core.v1.Node.get(lookup_name(f"{ctx.name}-node", "nodes"), public, opts=ctx.options())
