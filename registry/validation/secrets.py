"""Rules for existing Secrets and for credentials of other servers. No message of this module holds their content."""

from base64 import b64decode
from collections.abc import Collection, Mapping

from .errors import InvalidInput


def decode_secret_data(
    key: str, data: Mapping[str, str] | None, required: Collection[str], remedy: str
) -> dict[str, str]:
    """Return the texts of the Secret that the input `key` names. Refuse a Secret without the required ones."""
    encoded = data or {}
    if missing := [name for name in required if name not in encoded]:
        problem = f"names a Secret without {' and '.join(missing)}"
        raise InvalidInput(key, "secret-incomplete", problem, remedy)
    try:
        return {name: b64decode(content).decode() for name, content in encoded.items()}
    except ValueError:
        raise InvalidInput(key, "secret-not-text", "names a Secret that is not text", remedy) from None


def external_credential(key: str, value: str) -> str:
    """Require a key, token or password of another server. No message shows it."""
    if not isinstance(value, str):
        problem = f"must be text, not a value of type {type(value).__name__}"
        raise InvalidInput(key, "not-text", problem, "Put it in quotes")
    if not 0 < len(value) <= 4096 or not value.isprintable() or value != value.strip():
        problem = "must be 1 to 4096 printable characters without outer spaces"
        remedy = f"Run `pulumi config set --secret {key}` again"
        raise InvalidInput(key, "not-a-credential", problem, remedy)
    return value
