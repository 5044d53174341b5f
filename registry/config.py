"""From a stack's config to the component's inputs: every key of `PrivateRegistryArgs`, by its own type."""

from collections.abc import Mapping
from typing import Any, cast, get_args, get_origin

import pulumi
from pulumi.runtime.config import get_config_env, is_config_secret

from .args import PrivateRegistryArgs
from .settings import SECRET
from .validation import Described, InvalidInput, known_keys

OBJECTS = (list, dict, Mapping)


def args_from(config: pulumi.Config) -> PrivateRegistryArgs:
    """What the stack sets. Refuses keys that no one reads, and secrets that lie in its file in plain text."""
    prefix = f"{config.name}:"
    given = {key.removeprefix(prefix) for key in get_config_env() if key.startswith(prefix)}
    known_keys(given, PrivateRegistryArgs.__annotations__)
    for key in sorted(given.intersection(SECRET)):
        if not is_config_secret(prefix + key):
            remedy = f"{_set(key)}, and choose a new one: this one lies in the stack's file"
            raise InvalidInput(key, "set as a secret", Described("a plain value"), remedy)
    return cast(PrivateRegistryArgs, {key: _read(config, key) for key in sorted(given)})


def _set(key: str) -> str:
    return f"`pulumi config set --secret {'--path passwords.USER' if key == 'passwords' else key}`"


def _read(config: pulumi.Config, key: str) -> Any:
    """The value in the type that the input has; an Output if it is secret in the config."""
    shape = _shape(PrivateRegistryArgs.__annotations__[key])
    kind = "object" if shape in OBJECTS else "" if shape is str else shape.__name__
    secret = "secret" if is_config_secret(f"{config.name}:{key}") else ""
    try:
        return getattr(config, "_".join(filter(None, ["get", secret, kind])))(key)
    except pulumi.ConfigTypeError as error:
        if not secret:
            raise
        # `from None`: the SDK's own message says the value, and so does what it was made of.
        remedy = f"`pulumi config rm {key}`, then {_set(key)}"
        raise InvalidInput(key, f"a {error.expect_type}", Described("a secret that is none"), remedy) from None


def _shape(hint: Any) -> type:
    """The plain type inside `NotRequired` and `pulumi.Input`."""
    if hint in (str, int, bool) or get_origin(hint) in OBJECTS:
        return cast(type, get_origin(hint) or hint)
    return _shape(get_args(hint)[0])
