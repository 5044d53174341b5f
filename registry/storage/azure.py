"""Images in a container of Azure Blob Storage. No claim is mounted, and any number of replicas share the container."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pulumi

from ..context import Context
from ..distribution import root_directory
from ..existing_secrets import read_existing_secret
from ..settings import StorageSettings
from ..validation.azure import ACCOUNT_KEY, azure_account_key


def azure_driver(ctx: Context, settings: StorageSettings) -> pulumi.Output[Mapping[str, Any]]:
    """Return the storage section of the registry's configuration. Clients download from the registry."""
    return pulumi.Output.all(
        account=settings.azure_account,
        container=settings.azure_container,
        endpoint=settings.azure_endpoint,
        prefix=settings.azure_prefix,
        key=_key(ctx, settings),
    ).apply(lambda resolved: _section(**resolved))


def _key(ctx: Context, settings: StorageSettings) -> pulumi.Input[str | None]:
    """Return the account key of an existing Secret. Without a Secret, the registry uses a role."""
    if settings.azure_secret is None:
        return None
    return read_existing_secret(ctx, ctx.name, "azure_secret", settings.azure_secret, (ACCOUNT_KEY,), azure_account_key)


def _section(
    account: str, container: str, endpoint: str | None, prefix: str | None, key: str | None
) -> Mapping[str, Any]:
    server = {"serviceurl": service_url(endpoint, account)} if endpoint else {}
    credentials: dict[str, Any] = {"credentials": {"type": "default_credentials"}}
    if key is not None:
        credentials = {"credentials": {"type": "shared_key"}, "accountkey": key}
    names = {"accountname": account, "container": container}
    return {"azure": {**names, **server, **root_directory(prefix), **credentials}, "redirect": {"disable": True}}


def service_url(endpoint: str, account: str) -> str:
    """Return the URL of the account: its host begins with the account, or else its path is the account."""
    has_account = (urlsplit(endpoint).hostname or "").startswith(f"{account}.")
    return endpoint if has_account else f"{endpoint}/{account}"
