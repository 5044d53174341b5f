"""What an existing Secret of the cluster holds. A message of this module names keys and never what they hold."""

from base64 import b64decode
from collections.abc import Collection, Mapping

from . import Described, InvalidInput


def opened(key: str, data: Mapping[str, str] | None, wanted: Collection[str], remedy: str) -> dict[str, str]:
    """The texts under the `wanted` keys of the Secret that the input `key` names, if it has them all; and others."""
    held = data or {}
    if missing := [each for each in wanted if each not in held]:
        got = Described(f"one without {' and '.join(missing)}")
        raise InvalidInput(key, f"a Secret with {' and '.join(wanted)}", got, remedy)
    try:
        return {each: b64decode(text).decode() for each, text in held.items()}
    except ValueError:
        raise InvalidInput(key, "a Secret of texts", Described("one with other bytes"), remedy) from None
