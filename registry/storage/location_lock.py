"""The storage location of the first deployment. The state keeps it, so that another location is refused later."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from ..context import Context
from ..lookup import FoundObjects, Object
from ..settings import StorageSettings
from ..validation.storage import refuse_relocation
from .claims import bound_claim, class_of_claim, location_of, own_claims


def pin_storage_location(
    ctx: Context, settings: StorageSettings, found: pulumi.Output[FoundObjects]
) -> pulumi.Output[bool]:
    """Fail if the storage location differs from that of the first deployment, which is saved in the state.

    A class is compared with that of the bound claim instead: a claim that never bound has never held an image. The
    Stash depends on the namespace, because there are no images before it exists.
    """
    requested = {key: getattr(settings, key) for key in ("storage", *settings.kind.fixed)}
    if settings.storage == "class":
        requested["storage_class"] = class_of_claim(settings, found)
    stash = pulumi.Stash(
        f"{ctx.name}-location",
        input={"namespace": ctx.namespace, **requested},
        opts=ctx.options(),
    )
    # Under Pulumi mocks of a user's own tests, a Stash has no output.
    saved = stash.output.apply(lambda output: output or {})

    def check(resolved: Sequence[Any]) -> bool:
        first, current, objects = resolved
        claims = own_claims(objects.claims, ctx.selector) if objects.claims is not None else None
        return refuse_relocation(current_location(first, claims), current)

    return pulumi.Output.all(saved, requested, found).apply(check)


def current_location(saved: Mapping[str, Any], claims: Sequence[Object] | None) -> Mapping[str, Any]:
    """Return the location of the images: the saved one, but with class and access mode of the bound one of `claims`.

    If none is bound, class and access mode are left out, and may change. `claims` is None if it is not known.
    """
    if saved.get("storage") != "class" or claims is None:
        return saved
    rest = {key: value for key, value in saved.items() if key not in ("storage_class", "storage_access")}
    bound = bound_claim(claims)
    return {**rest, **location_of(bound)} if bound is not None else rest
