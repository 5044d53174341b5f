"""Reservations of what only one registry may have, and Leases for a folder on a node and a port of an external address.

Kubernetes would let two stacks use the same folder or port. One registry would then write into the images of the other,
or answer in its place. Only one stack can create a Lease that is named after the folder or the port. So the second
`pulumi up` fails before it has created anything but Leases. Namespaces and node ports need no Lease, because the API
server refuses the second one.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_kubernetes.coordination.v1 import Lease

from ..conflicts import explain_conflict
from ..context import Context
from ..settings import ExposureSettings, StorageSettings
from ..validation.storage import refuse_relocation
from .duplicates import reserve

LEASE_NAMESPACE = "default"
"""Namespace of the Leases. It exists in every cluster and outlives every registry."""

SUBJECT = "private-registry/of"
"""Annotation of a Lease that names the folder or the port in full."""

ON = " on "
"""Separator between a folder and its node."""

LONGEST_READABLE = 48
"""Most characters of the subject in the name of a Lease. With prefix and digest the name has at most 63."""


def acquire_leases(
    ctx: Context,
    exposure: ExposureSettings,
    storage: StorageSettings,
    node: pulumi.Output[str] | None,
    *,
    after: pulumi.Output[pulumi.Resource],
) -> list[pulumi.Input[pulumi.Resource]]:
    """Acquire the Leases of the folder and the addresses, after the lookups. Return them.

    `node` is the name of the node that holds the images, if one does.
    """
    leases: list[pulumi.Input[pulumi.Resource]] = []
    if node is not None:
        leases.append(_lease_of_folder(ctx, storage, node))
    return leases + [_lease_of_address(ctx, exposure, address, after) for address in exposure.external_ips]


def _lease_of_folder(
    ctx: Context, settings: StorageSettings, node: pulumi.Input[str]
) -> pulumi.Output[pulumi.Resource]:
    """Acquire the Lease of the folder.

    It keeps the name of the first folder, like the volume. Another folder is refused here too, in case the first
    `pulumi up` ended before there was a volume.
    """
    folder = pulumi.Output.all(settings.storage_path, node).apply(ON.join)
    reserved = folder.apply(lambda subject: reserve("storage_path", subject, ctx.name))
    name = f"{ctx.name}-folder-lease"
    hooks = explain_conflict(f"{name}-conflict", _explain_folder_conflict)
    lease = _lease(ctx, name, reserved, ctx.options(ignore_changes=["metadata"], hooks=hooks))
    requested = {"storage_path": settings.storage_path, "node": node}
    checked = pulumi.Output.all(lease.metadata.annotations, requested).apply(
        lambda resolved: refuse_relocation(_location(resolved[0]), resolved[1])
    )
    return checked.apply(lambda _: lease)


def _lease_of_address(
    ctx: Context, settings: ExposureSettings, address: str, after: pulumi.Output[pulumi.Resource]
) -> Lease:
    subject = reserve("external_ips", f"port {settings.port} of {address}", ctx.name)
    name = f"{ctx.name}-lease-of-{address}-{settings.port}".replace(":", "-")
    hooks = explain_conflict(f"{name}-conflict", _explain_address_conflict)
    return _lease(ctx, name, after.apply(lambda _: subject), ctx.options(hooks=hooks))


def _explain_folder_conflict(lease: Mapping[str, Any]) -> str:
    return (
        f"Another stack stores its images in {_subject(lease)}. `kubectl get leases` shows the stack that holds "
        f"{lease['metadata']['name']}. Set another `storage_path`, or destroy that stack."
    )


def _explain_address_conflict(lease: Mapping[str, Any]) -> str:
    return (
        f"Another stack uses {_subject(lease)}. `kubectl get leases` shows the stack that holds "
        f"{lease['metadata']['name']}. Set another `port` or address, or destroy that stack."
    )


def _subject(lease: Mapping[str, Any]) -> str:
    return str(lease["metadata"]["annotations"][SUBJECT])


def _location(annotations: Mapping[str, str]) -> dict[str, str]:
    """Return the folder and the node that a Lease is for, by the names of their inputs."""
    path, _, node = annotations[SUBJECT].rpartition(ON)
    return {"storage_path": path, "node": node}


def _lease(ctx: Context, name: str, subject: pulumi.Output[str], opts: pulumi.ResourceOptions) -> Lease:
    holder = f"{pulumi.get_project()}/{pulumi.get_stack()}"
    return Lease(
        name,
        metadata=ctx.metadata(subject.apply(lease_name), annotations={SUBJECT: subject})
        | {"namespace": LEASE_NAMESPACE},
        spec={"holder_identity": holder},
        opts=opts,
    )


def lease_name(subject: str) -> str:
    """Return a DNS label of at most 63 characters: `taken-`, a readable part and a digest."""
    readable = re.sub(r"[^a-z0-9]+", "-", subject.lower()).strip("-")[:LONGEST_READABLE].rstrip("-")
    return f"taken-{readable}-{hashlib.sha256(subject.encode()).hexdigest()[:8]}"
