"""The storage location of the first deployment, saved in the state, so that a changed config cannot leave it."""

import pulumi

from ..context import Context
from ..settings import StorageSettings
from ..validation.storage import refuse_relocation


def pin_storage_location(ctx: Context, settings: StorageSettings) -> pulumi.Output[bool]:
    """Fail if the storage location differs from that of the first deployment, which is saved in the state.

    The Stash depends on the namespace, because there are no images before it exists.
    """
    requested = {key: getattr(settings, key) for key in ("storage", *settings.kind.fixed)}
    stash = pulumi.Stash(
        f"{ctx.name}-location",
        input={"namespace": ctx.namespace, **requested},
        opts=ctx.options(),
    )
    # Under Pulumi mocks of a user's own tests, a Stash has no output.
    return pulumi.Output.all(stash.output, requested).apply(lambda both: refuse_relocation(both[0] or {}, both[1]))
