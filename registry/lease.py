"""What only one registry of a cluster may have: a folder on a node, a port on an external address.

Kubernetes would let two stacks share either, and one would write into the other's images or answer in its place. A
Lease named after the thing, which only one stack can create, makes the second `pulumi up` fail before it has made
anything else. Registries of one program are told apart earlier, at preview. (Namespaces and node ports exist once.)

The engine then says "Lease (NAME): leases LEASE already exists", and what to do about it in general. Only the two names
are ours, so the first leads to who has it, and the second says what is taken.
"""

import hashlib
import re
from collections.abc import Mapping

import pulumi
from pulumi_kubernetes.coordination.v1 import Lease

from .args import PrivateRegistryArgs
from .metadata import Metadata
from .validation.collisions import claim
from .validation.storage import stays

NAMESPACE = "default"
"""Of the Leases: it exists in every cluster and outlives every registry."""

HOLDERS = "holder-by-kubectl-get-leases"
"""In the resource's name: that command prints whose stack each Lease is."""

OF = "private-registry/of"
"""Annotation of a Lease: what is taken, in full."""

ON = " on "
"""Between a folder and its node."""

READABLE = 48
"""Characters of the thing in the Lease's name, before a digest that tells similar ones apart: 63 in all at most."""


def hold(
    name: str, given: PrivateRegistryArgs, metadata: Metadata, opts: pulumi.ResourceOptions
) -> list[pulumi.Input[pulumi.Resource]]:
    """Claim everything that this registry must have to itself, with a Lease where Kubernetes does not see to it."""
    claim("namespace", f"namespace {given['namespace']}", name)
    if given["exposure"] == "node-port":
        claim("node_port", f"node port {given['node_port']}", name)
    leases: list[pulumi.Input[pulumi.Resource]] = []
    if given["storage"] in ("host-path", "local"):
        leases.append(_of_folder(f"{name}-alone-in-its-folder-{HOLDERS}", name, given, metadata, opts))
    if given["exposure"] == "external-ips":
        for address in given["external_ips"]:
            thing = claim("external_ips", f"port {given['port']} of {address}", name)
            alone = f"{name}-alone-at-{address}-{given['port']}-{HOLDERS}".replace(":", "-")
            leases.append(_lease(alone, pulumi.Output.from_input(thing), metadata, opts))
    return leases


def _of_folder(
    name: str, registry: str, given: PrivateRegistryArgs, metadata: Metadata, opts: pulumi.ResourceOptions
) -> pulumi.Output[pulumi.Resource]:
    """The volume stays where the images are, whatever the config says now, and so does the Lease.

    Another folder is refused here too: where the first `up` ended before there was a volume, nothing else would say it.
    """
    folder = pulumi.Output.all(given["storage_path"], given["node"]).apply(ON.join)
    taken = folder.apply(lambda known: claim("storage_path", known, registry))
    kept = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=["metadata"]))
    lease = _lease(name, taken, metadata, kept)
    asked = {"storage_path": given["storage_path"], "node": given["node"]}
    same = pulumi.Output.all(lease.metadata.annotations, asked).apply(lambda known: stays(_held(known[0]), known[1]))
    return same.apply(lambda _: lease)


def _held(annotations: Mapping[str, str]) -> dict[str, str]:
    path, _, node = annotations[OF].rpartition(ON)
    return {"storage_path": path, "node": node}


def _lease(name: str, thing: pulumi.Output[str], metadata: Metadata, opts: pulumi.ResourceOptions) -> Lease:
    holder = f"{pulumi.get_project()}/{pulumi.get_stack()}"
    return Lease(
        name,
        metadata=metadata.of(thing.apply(lease_name), annotations={OF: thing}) | {"namespace": NAMESPACE},
        spec={"holder_identity": holder},
        opts=opts,
    )


def lease_name(thing: str) -> str:
    """A DNS label that says what it is about: `taken-` + readable + digest, at most 63 characters."""
    readable = re.sub(r"[^a-z0-9]+", "-", thing.lower()).strip("-")[:READABLE].rstrip("-")
    return f"taken-{readable}-{hashlib.sha256(thing.encode()).hexdigest()[:8]}"
