"""Images in a bucket of Google Cloud Storage. No claim is mounted, and any number of replicas share the bucket."""

from collections.abc import Mapping
from typing import Any

import pulumi

from ..context import Context
from ..distribution import PART_BYTES, root_directory
from ..existing_secrets import read_existing_secret
from ..settings import StorageSettings
from ..validation.gcs import KEY_FILE, service_account_key


def gcs_driver(ctx: Context, settings: StorageSettings) -> pulumi.Output[Mapping[str, Any]]:
    """Return the storage section of the registry's configuration. Clients download from the registry."""
    return pulumi.Output.all(bucket=settings.gcs_bucket, prefix=settings.gcs_prefix, key=_key(ctx, settings)).apply(
        lambda resolved: _section(**resolved)
    )


def _key(ctx: Context, settings: StorageSettings) -> pulumi.Input[Mapping[str, str] | None]:
    """Return the key of a service account from an existing Secret. Without a Secret, the registry uses a role."""
    if settings.gcs_secret is None:
        return None
    return read_existing_secret(ctx, ctx.name, "gcs_secret", settings.gcs_secret, (KEY_FILE,), service_account_key)


def _section(bucket: str, prefix: str | None, key: Mapping[str, str] | None) -> Mapping[str, Any]:
    credentials = {"credentials": key} if key is not None else {}
    parameters = {"bucket": bucket, "chunksize": PART_BYTES, **root_directory(prefix), **credentials}
    return {"gcs": parameters, "redirect": {"disable": True}}
