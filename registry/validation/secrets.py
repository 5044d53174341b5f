"""Rules for existing Secrets and for credentials of other servers. No message of this module holds their content."""

from base64 import b64decode
from collections.abc import Mapping
from typing import NamedTuple

from .errors import InvalidInput

BYTE_ORDER_MARK = "\ufeff"
"""Character that editors on Windows put before a text. Go's and OpenSSL's readers take it for a part of the text."""


class ExistingSecret(NamedTuple):
    """A Secret that the user created.

    Attributes:
        key: Input that names it.
        namespace: Its namespace.
        name: Its name.
        files: Keys of its data that are required.
        type: Its type, or "" for any.
    """

    key: str
    namespace: str
    name: str
    files: tuple[str, ...]
    type: str = ""

    def replace_command(self, *more_files: str) -> str:
        """Return the command that replaces the Secret. It reads `files` and `more_files` from the current folder."""
        type_option = f"--type={self.type} " if self.type else ""
        files = " ".join(f"--from-file={file}" for file in (*self.files, *more_files))
        return (
            f"kubectl create secret generic {self.name} --namespace={self.namespace} {type_option}{files} "
            "--dry-run=client -o yaml | kubectl replace --force -f -"
        )


def decode_secret_data(
    secret: ExistingSecret, data: Mapping[str, str] | None, optional: tuple[str, ...] = ()
) -> dict[str, str]:
    """Return the text of each key in `secret.files`, and of each `optional` key that is not empty.

    Refuse a Secret that lacks one of the files. Other keys are not decoded, because their data may be binary.
    """
    encoded = data or {}
    command = secret.replace_command(*(name for name in optional if encoded.get(name)))
    missing = [name for name in secret.files if not encoded.get(name)]
    if missing:
        problem = f"names a Secret without {' and '.join(missing)}"
        remedy = f"Write the files {' and '.join(secret.files)}, and run `{command}`"
        raise InvalidInput(secret.key, "secret-incomplete", problem, remedy)
    texts = {}
    for name in (*secret.files, *optional):
        try:
            if content := b64decode(encoded.get(name, "")).decode():
                texts[name] = content
        except ValueError:
            problem = f"names a Secret whose {name} is not text in UTF-8"
            remedy = f"Write the file {name} as UTF-8, and run `{command}`"
            # The cause would show the content in a traceback.
            raise InvalidInput(secret.key, "secret-not-text", problem, remedy) from None
    return texts


def read_credentials(secret: ExistingSecret, data: Mapping[str, str] | None) -> dict[str, str]:
    """Return the credentials of the Secret, without the byte order mark and the outer whitespace of their files.

    The registry sends an access key in an HTTP header, where Go refuses control characters. It signs with a secret
    key.
    """
    texts = decode_secret_data(secret, data)
    keys = {name: text.removeprefix(BYTE_ORDER_MARK).strip() for name, text in texts.items()}
    for name, value in keys.items():
        if not _is_credential(value):
            problem = f"names a Secret whose {name} is not 1 to 4096 printable characters on one line"
            remedy = f"Write the key alone into the file {name}, and run `{secret.replace_command()}`"
            raise InvalidInput(secret.key, "not-a-credential", problem, remedy)
    return keys


def external_credential(key: str, value: str) -> str:
    """Require a credential of another server, such as an S3 key or a password. No message shows it."""
    if not isinstance(value, str):
        problem = f"must be text, not a value of type {type(value).__name__}"
        raise InvalidInput(key, "not-text", problem, f"Run `pulumi config set --secret {key}` again")
    if not _is_credential(value):
        problem = "must be 1 to 4096 printable characters without outer spaces"
        remedy = f"Run `pulumi config set --secret {key}` again"
        raise InvalidInput(key, "not-a-credential", problem, remedy)
    return value


def _is_credential(value: str) -> bool:
    return 0 < len(value) <= 4096 and value.isprintable() and value == value.strip()
