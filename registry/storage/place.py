"""Where the images lie, as the state remembers it: no config moves them, so one that says otherwise is refused."""

from collections.abc import Mapping

import pulumi
import pulumi_random as random

from ..args import PrivateRegistryArgs
from ..validation import Described, InvalidInput
from ..validation.quantities import amount

FOLDER = ("storage_path", "node", "storage_size")

FIXED = {"host-path": FOLDER, "local": FOLDER, "class": ("storage_class", "storage_access")}
"""By the kind of storage: what its volume or claim cannot follow."""

MOVE = "set it back; to move the images: `pulumi destroy` (it keeps them), move them, set the key, `pulumi up`"


def settled_place(name: str, given: PrivateRegistryArgs, parent: pulumi.Resource) -> pulumi.Output[bool]:
    """Refuse another place than the first one. Its note is a resource of which nothing but the keepers matters."""
    keys = ("storage", *FIXED.get(given["storage"], ()))
    asked = {key: given[key] for key in keys}  # type: ignore[literal-required]
    note = random.RandomString(
        name,
        length=8,
        keepers=asked,
        opts=pulumi.ResourceOptions(parent=parent, ignore_changes=["keepers"]),
    )
    return pulumi.Output.all(note.keepers, asked).apply(lambda both: _same(*both))


def _same(lies: Mapping[str, str], asked: Mapping[str, str]) -> bool:
    for key in lies.keys() & asked.keys():
        if lies[key] != asked[key] and not (key == "storage_size" and _same_size(lies[key], asked[key])):
            got = Described(f"{asked[key]!r}, which would need another volume")
            raise InvalidInput(key, f"{lies[key]!r} as long as the images lie there", got, MOVE)
    return True


def _same_size(lies: str, asked: str) -> bool:
    """1.5Ti and 1536Gi are one."""
    return amount("storage_size", lies, "2Gi") == amount("storage_size", asked, "2Gi")
