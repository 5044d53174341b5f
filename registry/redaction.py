"""Redaction of secrets in the SDK's debug log.

The SDK logs the outputs of components and of the stack as it sends them to the engine: with secrets in plain text.
`pulumi up` shows that log with `--debug` only, but `pulumi up --json` prints it always. The engine redacts only the
secrets of the stack's config, not generated passwords (docs/adr/0016-secrets.md).
"""

from typing import Any

import pulumi
from pulumi.runtime import rpc

SECRET_MARK = rpc._special_secret_sig
"""Key next to every secret on its way to the engine."""

PROPERTIES = "props="
"""Text in front of the logged properties."""


def redact_debug_log() -> None:
    """Redact secrets in the SDK's debug log, for the whole process.

    Call it once at the start of a program that uses `PrivateRegistry` or other components with secret outputs.
    """
    if getattr(pulumi.log.debug, "redacts", False):
        return
    debug = pulumi.log.debug

    def redacted(message: str, *args: Any, **kwargs: Any) -> None:
        debug(without_secrets(message), *args, **kwargs)

    redacted.redacts = True  # type: ignore[attr-defined]
    pulumi.log.debug = redacted  # type: ignore[assignment]  # it takes every argument of the original


def without_secrets(message: str) -> str:
    """Return the message without the properties if they hold a secret."""
    if SECRET_MARK not in message:
        return message
    head, properties, _ = message.partition(PROPERTIES)
    return f"{head}{properties}[secret]" if properties and SECRET_MARK not in head else "[secret]"
