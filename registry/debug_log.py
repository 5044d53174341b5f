"""What the SDK says at debug level, without secrets.

It logs what components and the stack put out, as it sends it to the engine: with secrets in plain text. `pulumi up`
shows that with `--debug` only, but it is in all that `pulumi up --json` prints, and the engine leaves out no more than
what the stack's config holds: not a password that was generated (docs/adr/0016-secrets.md).
"""

from typing import Any

import pulumi
from pulumi.runtime import rpc

MARK = rpc._special_secret_sig
"""Beside every secret on its way to the engine."""

LOGGED = "props="
"""Behind it stands what is sent."""


def silence() -> None:
    """Have the SDK in this process leave out what is secret."""
    debug = pulumi.log.debug

    def without(message: str, *further: Any, **named: Any) -> None:
        debug(without_secrets(message), *further, **named)

    pulumi.log.debug = without  # type: ignore[assignment]  # which takes whatever that one takes


def without_secrets(message: str) -> str:
    """The message, or what of it stands before something with a secret."""
    if MARK not in message:
        return message
    head, logged, _ = message.partition(LOGGED)
    return f"{head}{logged}[secret]" if logged and MARK not in head else "[secret]"
