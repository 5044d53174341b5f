"""The namespace of the registry's own, under the strictest Pod Security level that its Pod can meet."""

from typing import NamedTuple

import pulumi
import pulumi_kubernetes as kubernetes

from .validation import Described, InvalidInput


class OwnNamespace(NamedTuple):
    """The Namespace, and its name once it is known to be the one asked for."""

    object: kubernetes.core.v1.Namespace
    name: pulumi.Output[str]


def create_namespace(name: str, namespace: str, *, root: bool, opts: pulumi.ResourceOptions) -> OwnNamespace:
    """Made for the registry and gone with it. A Pod that runs as root meets `baseline`, any other `restricted`."""
    created = kubernetes.core.v1.Namespace(
        name,
        metadata={
            "name": namespace,
            "labels": {"pod-security.kubernetes.io/enforce": "baseline" if root else "restricted"},
        },
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=["metadata.name"])),
    )
    return OwnNamespace(created, created.metadata.name.apply(lambda now: _unchanged(str(now), namespace)))


def _unchanged(now: str, asked: str) -> str:
    """Refuse another name: Kubernetes cannot rename, and to replace the namespace is to delete what is in it."""
    if now != asked:
        got = Described(f"{asked!r}, which would delete {now!r} and all in it")
        raise InvalidInput("namespace", f"{now!r} as long as the stack lives", got, "set it back, or use another stack")
    return now
