"""Rules for a bucket of Google Cloud Storage."""

import json
import re
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import rsa

from .basics import text
from .errors import InvalidInput, quoted
from .pem import Origin, private_key
from .secrets import BYTE_ORDER_MARK, ExistingSecret, decode_secret_data

KEY_FILE = "key.json"
"""Key of the existing Secret. It is the file that `gcloud iam service-accounts keys create key.json` writes."""

TYPE = "service_account"
"""Type of the only key that the registry takes (CNCF Distribution 3, gcs)."""

FIELDS = ("client_email", "private_key_id", "private_key", "token_uri")
"""Fields of a key, of those that the registry reads. The others are not copied."""


def gcs_bucket(value: str) -> str:
    """Require a name by the rules of Google Cloud Storage."""
    name = text("gcs_bucket", value, "team-registry")
    is_long = len(name) > 222 or any(not 1 <= len(part) <= 63 for part in name.split("."))
    is_address = re.fullmatch(r"(\d+\.){3}\d+", name, re.ASCII)
    is_reserved = name.startswith("goog") or "google" in name
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]+[a-z0-9]", name, re.ASCII) or is_long or is_address or is_reserved:
        problem = f"must be the name of a bucket, 3 to 63 of a-z, 0-9, dots, dashes and underscores, not {quoted(name)}"
        raise InvalidInput("gcs_bucket", "not-a-bucket", problem, "For example 'team-registry'")
    return name


def service_account_key(secret: ExistingSecret, data: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return the fields of the service account's key in the Secret. No message shows any of them."""
    (content,) = decode_secret_data(secret, data).values()
    remedy = f"Write the key of a service account to {KEY_FILE}, and run `{secret.replace_command()}`"
    try:
        key = json.loads(content.removeprefix(BYTE_ORDER_MARK))
    except ValueError:
        problem = f"names a Secret whose {KEY_FILE} is not JSON"
        # The cause would show the content in a traceback.
        raise InvalidInput(secret.key, "not-a-service-account-key", problem, remedy) from None
    fields = {name: str(key.get(name) or "") for name in FIELDS} if isinstance(key, dict) else {}
    if not fields or key.get("type") != TYPE or not all(fields.values()):
        problem = f"names a Secret whose {KEY_FILE} is not the key of a service account, with {', '.join(FIELDS)}"
        raise InvalidInput(secret.key, "not-a-service-account-key", problem, remedy)
    origin = Origin(secret.key, KEY_FILE, secret.replace_command(), f" in {KEY_FILE} of its Secret")
    if not isinstance(private_key(origin, fields["private_key"]), rsa.RSAPrivateKey):
        problem = f"names a Secret whose {KEY_FILE} has another private key than one of RSA"
        raise InvalidInput(secret.key, "not-a-service-account-key", problem, remedy)
    return {"type": TYPE, **fields}
