"""Images in an object store that speaks S3. No claim is mounted, and any number of replicas share the bucket."""

from collections.abc import Mapping
from typing import Any

import pulumi

from ..choices import S3StorageClass
from ..context import Context
from ..distribution import DRIVER_KEYS, s3_section
from ..existing_secrets import read_existing_secret
from ..settings import StorageSettings
from ..validation.secrets import ExistingSecret, read_credentials


def s3_driver(ctx: Context, settings: StorageSettings) -> pulumi.Output[Mapping[str, Any]]:
    """Return the storage section of the registry's configuration.

    By default clients download from the registry, not from the bucket: they know neither its name nor its CA.
    """
    return pulumi.Output.all(
        bucket=settings.s3_bucket,
        region=settings.s3_region,
        endpoint=settings.s3_endpoint,
        prefix=settings.s3_prefix,
        keys=_keys(ctx, settings),
        objects=_object_options(settings),
    ).apply(lambda resolved: s3_section(**resolved, redirect=settings.s3_redirect))


def _object_options(settings: StorageSettings) -> dict[str, pulumi.Input[Any]]:
    """Return the options of the driver for the objects that it writes."""
    options: dict[str, pulumi.Input[Any]] = {}
    if settings.s3_encrypt:
        options["encrypt"] = True
    if settings.s3_kms_key is not None:
        options["keyid"] = settings.s3_kms_key
    if settings.s3_storage_class != S3StorageClass.STANDARD:
        options["storageclass"] = settings.s3_storage_class
    return options


def _keys(ctx: Context, settings: StorageSettings) -> pulumi.Input[Mapping[str, Any]]:
    """Return the access key of the config or of an existing Secret. Without either, the registry uses a role."""
    if settings.s3_secret is None:
        keys = {"accesskey": settings.s3_access_key, "secretkey": settings.s3_secret_key}
        return {name: value for name, value in keys.items() if value is not None}
    files = tuple(DRIVER_KEYS)
    return read_existing_secret(ctx, ctx.name, "s3_secret", settings.s3_secret, files, _read_keys)


def _read_keys(secret: ExistingSecret, data: Mapping[str, str] | None) -> Mapping[str, str]:
    keys = read_credentials(secret, data)
    return {driver_key: keys[key] for key, driver_key in DRIVER_KEYS.items()}
