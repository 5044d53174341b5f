"""Where the images lie, as the state remembers it: no config moves them, so one that says otherwise is refused."""

import pulumi
import pulumi_random as random

from ..args import PrivateRegistryArgs
from ..metadata import Metadata
from ..validation.storage import stays

FOLDER = ("storage_path", "node", "storage_size")

FIXED = {"host-path": FOLDER, "local": FOLDER, "class": ("storage_class", "storage_access")}
"""By the kind of storage: what its volume or claim cannot follow."""


def settled_place(
    name: str, given: PrivateRegistryArgs, metadata: Metadata, parent: pulumi.Resource
) -> pulumi.Output[bool]:
    """Refuse another place than the first one. Its note is a resource of which nothing but the keepers matters.

    They name the namespace too, as there is nothing to remember before that.
    """
    keys = ("storage", *FIXED.get(given["storage"], ()))
    asked = {key: given[key] for key in keys}  # type: ignore[literal-required]
    note = random.RandomString(
        name,
        length=8,
        keepers={"namespace": metadata.namespace, **asked},
        opts=pulumi.ResourceOptions(parent=parent, ignore_changes=["keepers"]),
    )
    return pulumi.Output.all(note.keepers, asked).apply(lambda both: stays(*both))
