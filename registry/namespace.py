"""The namespace: the registry's own, under the strictest Pod Security level that its Pod meets, or an existing one."""

from collections.abc import Sequence
from typing import NamedTuple

import pulumi
import pulumi_kubernetes as kubernetes

from .context import Context
from .lookup import lookup_name
from .validation import InvalidInput

ENFORCE = "pod-security.kubernetes.io/enforce"
"""Label that sets the Pod Security level."""


class NamespaceRef(NamedTuple):
    """`name` resolves after the check for renames. `own` is the Namespace if the component created it."""

    name: pulumi.Output[str]
    own: kubernetes.core.v1.Namespace | None


def look_up_namespace(ctx: Context, name: str, *, after: Sequence[pulumi.Input[pulumi.Resource]]) -> NamespaceRef:
    """Look up a namespace that exists."""
    resource = lookup_name(f"{ctx.name}-namespace", "namespaces")
    existing = kubernetes.core.v1.Namespace.get(resource, name, opts=ctx.options(depends_on=after))
    return NamespaceRef(existing.metadata.name.apply(str), None)


def create_namespace(
    ctx: Context, name: str, *, is_root: bool, is_kept: bool, after: Sequence[pulumi.Input[pulumi.Resource]]
) -> NamespaceRef:
    """Create the namespace. `is_kept` leaves it, and a provisioned claim in it, on `pulumi destroy`."""
    level = "baseline" if is_root else "restricted"
    namespace = kubernetes.core.v1.Namespace(
        f"{ctx.name}-namespace",
        metadata=ctx.metadata(name, labels={ENFORCE: level}, cluster_scoped=True),
        opts=ctx.options(depends_on=after, ignore_changes=["metadata.name"], retain_on_delete=is_kept),
    )
    return NamespaceRef(namespace.metadata.name.apply(lambda current: _refuse_rename(str(current), name)), namespace)


def _refuse_rename(current: str, requested: str) -> str:
    """Refuse another name: Kubernetes cannot rename a namespace, and a new one would be empty."""
    if current != requested:
        problem = f"was {current!r} and cannot become {requested!r}, because that would delete everything in it"
        raise InvalidInput("namespace", "rename", problem, "Set it back, or use another stack")
    return current
