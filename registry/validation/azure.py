"""Rules for a container of Azure Blob Storage."""

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping

from .basics import text
from .errors import InvalidInput, quoted
from .secrets import ExistingSecret, read_credentials
from .servers import server_url

ACCOUNT_KEY = "account-key"
"""Key of the existing Secret."""


def azure_account(value: str) -> str:
    """Require the name of a storage account by the rules of Azure."""
    name = text("azure_account", value, "teamregistry")
    if not re.fullmatch(r"[a-z0-9]{3,24}", name, re.ASCII):
        problem = f"must be the name of a storage account, 3 to 24 of a-z and 0-9, not {quoted(name)}"
        raise InvalidInput("azure_account", "not-an-account", problem, "For example 'teamregistry'")
    return name


def azure_container(value: str) -> str:
    """Require the name of a container by the rules of Azure."""
    name = text("azure_container", value, "images")
    if not re.fullmatch(r"[a-z0-9](-?[a-z0-9])+", name, re.ASCII) or not 3 <= len(name) <= 63:
        problem = f"must be the name of a container, 3 to 63 of a-z, 0-9 and single dashes, not {quoted(name)}"
        raise InvalidInput("azure_container", "not-a-container", problem, "For example 'images'")
    return name


def azure_endpoint(value: str) -> str:
    """Require the URL of a Blob server."""
    return server_url("azure_endpoint", value, "https://teamregistry.blob.core.chinacloudapi.cn")


def azure_account_key(secret: ExistingSecret, data: Mapping[str, str] | None) -> str:
    """Return the account key of the Secret. The registry would not start with a key that is no base64."""
    (key,) = read_credentials(secret, data).values()
    try:
        b64decode(key, validate=True)
    except binascii.Error:
        problem = f"names a Secret whose {ACCOUNT_KEY} is not base64, as the keys of Azure are"
        remedy = f"Write one key alone, and no connection string, into the file {ACCOUNT_KEY}, and run "
        # The cause would show the content in a traceback.
        raise InvalidInput(secret.key, "not-an-account-key", problem, f"{remedy}`{secret.replace_command()}`") from None
    return key
