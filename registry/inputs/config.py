"""Read the inputs from the config of a stack."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, cast, get_args, get_origin, is_typeddict

import pulumi
from pulumi.runtime.config import get_config_env, is_config_secret

from ..validation import InvalidInput
from ..validation.basics import refuse_unknown_keys
from ..validation.commands import set_password
from .args import PrivateRegistryArgs
from .resolve import is_structural
from .table import INPUTS, SECRETS

OBJECT_TYPES = (list, dict, Mapping)
"""Types that the config holds as JSON."""

SET_COMMANDS = {
    "passwords": set_password("USER"),
    "outbound_proxy": "pulumi config set --secret --path outbound_proxy.https",
    "ca_key": "pulumi config set --secret ca_key < ca.key",
    "tolerations": "pulumi config set --secret --path 'tolerations[0].key'",
    **{
        f"{prefix}{kind}": f"pulumi config set --secret --path {prefix}{kind}.memory"
        for prefix in ("", "front_", "maintenance_")
        for kind in ("requests", "limits")
    },
}
"""Commands for secrets that `pulumi config set --secret KEY` cannot ask for: maps, and a value of several lines."""


def args_from(config: pulumi.Config) -> PrivateRegistryArgs:
    """Return the inputs that the stack sets. Refuse unknown keys, and secrets that its file has in plain text."""
    prefix, texts = f"{config.name}:", get_config_env()
    keys = {key.removeprefix(prefix) for key in texts if key.startswith(prefix)}
    refuse_unknown_keys(keys, PrivateRegistryArgs.__annotations__)
    for key in sorted(keys.intersection(SECRETS)):
        if not is_config_secret(prefix + key) and not INPUTS[key].is_public(texts[prefix + key]):
            problem = "is in plain text in the file of the stack"
            remedy = f"Choose a new one and run {_set_command(key)}"
            raise InvalidInput(key, "plain-text-secret", problem, remedy)
    return cast(PrivateRegistryArgs, {key: _read(config, key) for key in sorted(keys)})


def _set_command(key: str) -> str:
    """Return the command that sets the secret. It asks for the value, or reads a file."""
    if key in SET_COMMANDS:
        return f"`{SET_COMMANDS[key]}`"
    path = f"--path '{key}[0]'" if _plain_type(PrivateRegistryArgs.__annotations__[key]) is list else key
    return f"`pulumi config set --secret {path}`"


def _read(config: pulumi.Config, key: str) -> Any:
    """Return the value in the type of the input, as an Output if it is secret in the config.

    A value of another type is returned as text, so that the rule of the input refuses it and names a remedy.
    """
    value_type = _plain_type(PrivateRegistryArgs.__annotations__[key])
    suffix = "object" if value_type in OBJECT_TYPES else "" if value_type is str else value_type.__name__
    secret = "secret" if is_config_secret(f"{config.name}:{key}") else ""
    if secret and is_structural(key):
        problem = "is a secret in the config, but decides which resources the component creates"
        remedy = f"Run `pulumi config rm {key}`, then set it again without `--secret`"
        raise InvalidInput(key, "secret-not-allowed", problem, remedy)
    try:
        return getattr(config, "_".join(filter(None, ["get", secret, suffix])))(key)
    except pulumi.ConfigTypeError as error:
        if not secret:
            return config.get(key)
        # `from None`: the SDK's message and its cause hold the value.
        remedy = f"Run `pulumi config rm {key}`, then {_set_command(key)}"
        raise InvalidInput(key, "secret-of-wrong-type", f"must be a {error.expect_type}", remedy) from None


def _plain_type(hint: Any) -> type:
    """Return the plain type inside `NotRequired` and `pulumi.Input`. That of a `TypedDict` is dict, of an enum str."""
    if is_typeddict(hint):
        return dict
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return str
    if hint in (str, int, bool) or get_origin(hint) in OBJECT_TYPES:
        return cast(type, get_origin(hint) or hint)
    return _plain_type(get_args(hint)[0])
