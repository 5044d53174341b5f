"""The stack's config as a whole: what the single rules cannot see."""

from collections.abc import Collection

import pulumi
from pulumi.runtime.config import get_config_env, is_config_secret

from . import Described, InvalidInput, known_keys

SECRET = ("password",)


def check_config(config: pulumi.Config, known: Collection[str]) -> None:
    """Refuse keys that no one reads, and secrets that lie in the stack's file in plain text."""
    prefix = f"{config.name}:"
    given = {key.removeprefix(prefix) for key in get_config_env() if key.startswith(prefix)}
    known_keys(given, known)
    for key in given.intersection(SECRET):
        if not is_config_secret(prefix + key):
            remedy = f"`pulumi config set --secret {key}`, and choose a new one: this one lies in the stack's file"
            raise InvalidInput(key, "set as a secret", Described("a plain value"), remedy)
