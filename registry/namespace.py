"""The namespace: the registry's own, under the strictest Pod Security level that its Pod meets, or an existing one."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pulumi
import pulumi_kubernetes as kubernetes

from .context import Context
from .lookup import FoundObjects
from .validation import InvalidInput
from .validation.existing_objects import ENFORCE, refuse_unusable_namespace


class NamespaceRef(NamedTuple):
    """`name` resolves after the check for renames. `own` is the Namespace if the component created it."""

    name: pulumi.Output[str]
    own: kubernetes.core.v1.Namespace | None


def use_namespace(
    name: str,
    *,
    run_as_user: int,
    found: pulumi.Output[FoundObjects],
    after: Sequence[pulumi.Input[pulumi.Resource]],
) -> NamespaceRef:
    """Use a namespace that exists. Refuse one that would reject Pods of the user `run_as_user`."""

    def check(resolved: Sequence[Any]) -> str:
        namespace = resolved[0].namespace or {}
        labels = (namespace.get("metadata") or {}).get("labels") or {}
        refuse_unusable_namespace(name, labels, (namespace.get("status") or {}).get("phase"), run_as_user)
        return name

    # The URN of a resource is known at preview, and depends on its creation.
    created: list[pulumi.Output[str]] = [pulumi.Output.from_input(resource).apply(_urn) for resource in after]
    return NamespaceRef(pulumi.Output.all(found, *created).apply(check), None)


def _urn(resource: pulumi.Resource) -> pulumi.Output[str]:
    return resource.urn


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
