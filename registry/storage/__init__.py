"""The storage of the images: the claim that the workload mounts, and the driver of the registry.

`pulumi destroy` keeps the images (docs/adr/0006-volume-and-claim.md, docs/adr/0010-storage.md). A change of the config
that would leave the images behind is refused.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import pulumi
from pulumi_kubernetes.core.v1 import Namespace

from ..choices import Storage as Kind
from ..context import Context
from ..lookup import FoundObjects
from ..settings import StorageSettings
from .azure import azure_driver
from .claims import class_of_claim, create_claim_of_class, use_claim
from .gcs import gcs_driver
from .location_lock import pin_storage_location
from .node_folder import create_folder_claim
from .s3 import s3_driver

T = TypeVar("T")

DRIVERS = {Kind.S3: s3_driver, Kind.AZURE: azure_driver, Kind.GCS: gcs_driver}
"""Functions that return the storage section of the registry's configuration, by the kind of object store."""

MOUNT_PATH = "/var/lib/registry"
"""Path of the claim in the container."""

FILESYSTEM_DRIVER = {"filesystem": {"rootdirectory": MOUNT_PATH}}
"""Storage section of the registry's configuration, for a claim."""


class Storage(pulumi.ComponentResource):
    """Volume and claim, or an object store."""

    claim_name: pulumi.Output[str] | None
    """Name of the claim that the Pod mounts, or None for an object store."""
    driver: pulumi.Output[Mapping[str, Any]]
    """The storage section of the registry's configuration."""

    def __init__(
        self,
        ctx: Context,
        settings: StorageSettings,
        own_namespace: Namespace | None,
        found: pulumi.Output[FoundObjects],
        hostname: pulumi.Output[str] | None,
    ) -> None:
        """Create the storage. `hostname` is the label kubernetes.io/hostname of the node that holds the images, if any.

        `own_namespace` is the Namespace if the component created it. `found` are the objects that were looked up.
        """
        super().__init__("private-registry:index:Storage", f"{ctx.name}-data", {}, ctx.options())
        ctx = ctx.below(self, "data")
        checked = pin_storage_location(ctx, settings, found)
        self.claim_name, self.driver = None, pulumi.Output.from_input(FILESYSTEM_DRIVER)
        if not settings.kind.is_mounted:
            self.driver = _after(checked, DRIVERS[Kind(settings.storage)](ctx, settings))
        elif settings.storage_claim is not None:
            self.claim_name = _after(checked, use_claim(ctx, settings, settings.storage_claim, found))
        elif settings.storage == "class":
            storage_class = _after(checked, class_of_claim(settings, found))
            self.claim_name = create_claim_of_class(ctx, settings, storage_class, found)
        else:
            assert hostname is not None, "a folder needs a node"
            self.claim_name = _after(checked, create_folder_claim(ctx, settings, own_namespace, hostname))
        self.register_outputs({"claim_name": self.claim_name})


def _after(checked: pulumi.Output[bool], value: pulumi.Output[T]) -> pulumi.Output[T]:
    """Return `value` once the storage location has been checked."""
    return pulumi.Output.all(checked, value).apply(lambda both: both[1])
