"""The error for an input that the component refuses."""

import re

import pulumi

URL_CREDENTIALS = re.compile(r"://[^@\s]+@")
"""Credentials in a URL. They may be pasted where none belong, and a message must not repeat them."""

LONGEST_SHOWN = 80
"""Characters of a key or a value that a message shows."""


class InvalidInput(pulumi.RunError):
    """An input that the component refuses. No message holds a secret.

    It is a `RunError`, so the engine prints its message without a stack trace. It is not a `ValueError`: the SDK wraps
    those, and one raised inside `apply` would end in a stack trace.

    Attributes:
        key: The input, such as `port` or `labels.team`.
        code: The broken rule, such as `cidr-host-bits`. Tests and programs compare codes, never sentences.
        problem: The rest of a sentence that begins with the key, such as `must be true or false, not 'yes'`.
        remedy: A sentence that says what to do.
    """

    def __init__(self, key: str, code: str, problem: str, remedy: str) -> None:
        self.key, self.code, self.problem, self.remedy = key, code, URL_CREDENTIALS.sub("://...@", problem), remedy
        super().__init__(f"`{_printable(key)}` {self.problem}. {remedy}{'' if remedy.endswith('?') else '.'}")


def quoted(value: object) -> str:
    """Return `value` as a message shows it: on one line and not longer than 80 characters. Not for secrets."""
    return _shortened(repr(value))


def _printable(key: str) -> str:
    return _shortened(key if key.isprintable() else repr(key)[1:-1])


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."
