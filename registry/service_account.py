"""The ServiceAccount of the Pods, whose annotations give them a role in a cloud."""

from collections.abc import Iterator

import pulumi
import pulumi_kubernetes as kubernetes

from .context import Context
from .settings import OWN_ACCOUNT, WorkloadSettings


def create_service_account(ctx: Context, settings: WorkloadSettings) -> Iterator[pulumi.Resource]:
    """Create the account if it shall have annotations. Yield it.

    The Pods do not talk to the API server, so they get no token of the account. The controllers of clouds mount tokens
    for their own servers.
    """
    if settings.service_account_annotations is None:
        return
    metadata = ctx.metadata(OWN_ACCOUNT)
    metadata["annotations"] = pulumi.Output.from_input(settings.service_account_annotations).apply(
        lambda more: {**ctx.annotations, **more}
    )
    yield kubernetes.core.v1.ServiceAccount(
        f"{ctx.name}-account", metadata=metadata, automount_service_account_token=False, opts=ctx.options()
    )
