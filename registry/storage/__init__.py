"""Where the images live, and what the workload has to know of it: the claim that it mounts, and the registry's driver.

Objects come and go with the stack; bytes stay (docs/adr/0006-volume-and-claim.md, docs/adr/0010-storage.md). What a
change of config would have to replace is refused instead.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pulumi
from pulumi_kubernetes.core.v1 import Namespace

from ..args import PrivateRegistryArgs
from ..metadata import Metadata
from . import claims, folder, s3
from .place import settled_place

T = TypeVar("T")

MOUNTED = "/var/lib/registry"
"""Where the workload mounts the claim."""

FILESYSTEM = {"filesystem": {"rootdirectory": MOUNTED}}

Claim = Callable[[str, PrivateRegistryArgs, Metadata, Namespace | None, pulumi.Resource], pulumi.Output[str]]

CLAIMS: dict[str, Claim] = {
    "host-path": folder.claim_folder,
    "local": folder.claim_folder,
    "claim": claims.find_claim,
    "class": claims.claim_from_class,
}
"""By the kind of storage: what makes or finds the claim, whose name is known once a Pod that mounts it can start."""


class Storage(pulumi.ComponentResource):
    """Volume and claim, or an object store."""

    claim_name: pulumi.Output[str] | None
    """Nothing is mounted without one."""
    driver: pulumi.Output[Mapping[str, Any]]
    """What the registry's own configuration calls its storage."""

    def __init__(
        self,
        name: str,
        given: PrivateRegistryArgs,
        metadata: Metadata,
        own_namespace: Namespace | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("private-registry:index:Storage", name, {}, opts)
        in_place = settled_place(f"{name}-place", given, metadata, self)
        self.claim_name, self.driver = None, pulumi.Output.from_input(FILESYSTEM)
        if given["storage"] == "s3":
            self.driver = _once(in_place, s3.driver(name, given, metadata, self))
        else:
            claim = CLAIMS[given["storage"]](name, given, metadata, own_namespace, self)
            self.claim_name = _once(in_place, claim)
        self.register_outputs({"claim_name": self.claim_name})


def _once(in_place: pulumi.Output[bool], known: pulumi.Output[T]) -> pulumi.Output[T]:
    """What the workload waits for, held back from a config that says that the images lie elsewhere."""
    return pulumi.Output.all(in_place, known).apply(lambda both: both[1])
