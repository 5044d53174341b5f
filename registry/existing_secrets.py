"""The data of an existing Secret, which its user made."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import pulumi
import pulumi_kubernetes as kubernetes

from .context import Context
from .lookup import lookup_name
from .validation.secrets import ExistingSecret

T = TypeVar("T")


def read_existing_secret(
    ctx: Context,
    prefix: str,
    key: str,
    name: pulumi.Input[str],
    files: tuple[str, ...],
    read: Callable[[ExistingSecret, Mapping[str, str] | None], T],
) -> pulumi.Output[T]:
    """Return what `read` makes of the data of the Secret. It is secret, because the data of every Secret is.

    `prefix` is that of the lookup's name, `key` the input that names the Secret, and `files` are the keys of its data.
    """
    secret = kubernetes.core.v1.Secret.get(lookup_name(prefix, "secrets"), ctx.lookup_id(name), opts=ctx.options())
    return pulumi.Output.all(secret.data, ctx.namespace, name).apply(
        lambda known: read(ExistingSecret(key, known[1], known[2], files), known[0])
    )
