"""Read a stack's outputs, and encrypt its config, without an engine: it takes half a second to start.

This reads what the engine wrote, with the standard algorithms that it names in its sources, `sdk/go/common/resource/
config/crypt.go`: AES-256-GCM with a key that PBKDF2 derives from the passphrase. The guide's tests type the commands.
"""

import hashlib
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dev.environment import Environment

SIGNATURE = "4dabf18193072939515e22adb298388d"
"""Key that tells an object with a meaning of its own, such as a secret, from one of the program's."""

ITERATIONS = 1_000_000
KEY_BYTES = 32
NONCE_BYTES = 12


def path(place: Environment, project: str, stack: str) -> Path:
    """Return the file that has the stack's state."""
    return Path(urlparse(place.variables["PULUMI_BACKEND_URL"]).path) / ".pulumi/stacks" / project / f"{stack}.json"


def create(place: Environment, project: str, stack: str) -> None:
    """Create the stack as `pulumi stack init` does, without a state."""
    file = path(place, project, stack)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"version": 3, "checkpoint": {"stack": f"organization/{project}/{stack}"}}))


def read_outputs(place: Environment, project: str, stack: str) -> dict[str, Any]:
    """Return the outputs of the last update, with secrets opened."""
    state = json.loads(path(place, project, stack).read_text())["checkpoint"]["latest"]
    (root,) = [each for each in state["resources"] if each["type"] == "pulumi:pulumi:Stack"]
    salt = state["secrets_providers"]["state"]["salt"]
    return dict(_opened(root.get("outputs", {}), _crypter(place, salt)))


def encrypt_config(place: Environment, salt: str, secret: Mapping[str, str]) -> dict[str, Any]:
    """Return config of secret values, as `pulumi config set --secret --path KEY` writes it. A key may be `a.b`.

    `salt` is the config's `encryptionsalt`.
    """
    config: dict[str, Any] = {}
    for key_path, text in secret.items():
        key, _, name = key_path.partition(".")
        value = _encrypt(_crypter(place, salt), text)
        config[key] = config.get(key, {}) | {name: value} if name else value
    return config


def _encrypt(crypter: AESGCM, text: str) -> dict[str, str]:
    nonce = os.urandom(NONCE_BYTES)
    ciphertext = crypter.encrypt(nonce, text.encode(), None)
    return {"secure": ":".join(["v1", b64encode(nonce).decode(), b64encode(ciphertext).decode()])}


def _crypter(place: Environment, salt: str) -> AESGCM:
    return _derived(place.variables["PULUMI_CONFIG_PASSPHRASE"], salt)


@cache
def _derived(passphrase: str, salt: str) -> AESGCM:
    """Derive the key. `salt` is `v1:SALT:CHECK`."""
    key = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), b64decode(salt.split(":")[1]), ITERATIONS, KEY_BYTES)
    return AESGCM(key)


def _opened(value: Any, crypter: AESGCM) -> Any:
    if isinstance(value, list):
        return [_opened(each, crypter) for each in value]
    if not isinstance(value, dict):
        return value
    if SIGNATURE in value:
        _, nonce, ciphertext = value["ciphertext"].split(":")
        return json.loads(crypter.decrypt(b64decode(nonce), b64decode(ciphertext), None))
    return {key: _opened(each, crypter) for key, each in value.items()}
