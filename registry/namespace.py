"""The namespace: the registry's own, under the strictest Pod Security level that its Pod meets, or an existing one."""

from typing import NamedTuple

import pulumi
import pulumi_kubernetes as kubernetes

from .args import PrivateRegistryArgs
from .metadata import Metadata
from .validation import Described, InvalidInput

ENFORCE = "pod-security.kubernetes.io/enforce"


class Home(NamedTuple):
    """The name, once it is known to be the one asked for; the object, if it is the registry's own."""

    name: pulumi.Output[str]
    own: kubernetes.core.v1.Namespace | None


def provide_namespace(name: str, given: PrivateRegistryArgs, metadata: Metadata, opts: pulumi.ResourceOptions) -> Home:
    """Make the namespace, which goes with the registry, or find the one that stays."""
    if not given["create_namespace"]:
        found = kubernetes.core.v1.Namespace.get(f"{name}-from-kubectl-get-namespaces", given["namespace"], opts=opts)
        return Home(found.metadata.name.apply(str), None)
    level = "baseline" if given["run_as_user"] == 0 else "restricted"
    created = kubernetes.core.v1.Namespace(
        name,
        metadata=metadata.of(given["namespace"], labels={ENFORCE: level}, cluster_scoped=True),
        opts=pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(
                ignore_changes=["metadata.name"],
                # Deleted with it, a provisioned claim would take the images along.
                retain_on_delete=given["storage"] == "class",
            ),
        ),
    )
    return Home(created.metadata.name.apply(lambda now: _unchanged(str(now), given["namespace"])), created)


def _unchanged(now: str, asked: str) -> str:
    """Refuse another name: Kubernetes cannot rename, and to replace the namespace is to delete what is in it."""
    if now != asked:
        got = Described(f"{asked!r}, which would delete {now!r} and all in it")
        raise InvalidInput("namespace", f"{now!r} as long as the stack lives", got, "set it back, or use another stack")
    return now
