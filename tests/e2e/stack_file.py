"""Create a stack, read its outputs and encrypt its config without the engine, which takes half a second to start.

The engine defines the encryption in `sdk/go/common/resource/config/crypt.go`: AES-256-GCM with a key that PBKDF2
derives from the passphrase. The tests of the guide run the engine's commands instead.
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
"""Key that marks an object in the state as special. In the outputs of these programs it is a secret."""

ITERATIONS = 1_000_000
"""Rounds of PBKDF2. This number and the two sizes are those of the engine."""

KEY_BYTES = 32
NONCE_BYTES = 12


def path(environment: Environment, project: str, stack: str) -> Path:
    """Return the path of the stack's state."""
    return (
        Path(urlparse(environment.variables["PULUMI_BACKEND_URL"]).path) / ".pulumi/stacks" / project / f"{stack}.json"
    )


def create(environment: Environment, project: str, stack: str) -> None:
    """Create the stack as `pulumi stack init` does, without a state."""
    file = path(environment, project, stack)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"version": 3, "checkpoint": {"stack": f"organization/{project}/{stack}"}}))


def has_resources(environment: Environment, project: str, stack: str) -> bool:
    """Return whether the state has resources, which a destroyed stack has not."""
    state = json.loads(path(environment, project, stack).read_text())["checkpoint"].get("latest") or {}
    return bool(state.get("resources") or state.get("pending_operations"))


def own_namespaces(environment: Environment, project: str, stack: str) -> list[str]:
    """Return the namespaces that `pulumi destroy` deletes, or [] if DaemonSets must first clean up the nodes."""
    state = json.loads(path(environment, project, stack).read_text())["checkpoint"]["latest"]
    resources = state.get("resources", [])
    if any(item["type"] == "kubernetes:apps/v1:DaemonSet" for item in resources):
        return []
    return [
        item["id"]
        for item in resources
        if item["type"] == "kubernetes:core/v1:Namespace"
        and not item.get("external")
        and not item.get("retainOnDelete")
    ]


def read_outputs(environment: Environment, project: str, stack: str) -> dict[str, Any]:
    """Return the outputs of the last update with decrypted secrets."""
    state = json.loads(path(environment, project, stack).read_text())["checkpoint"]["latest"]
    (root,) = [item for item in state["resources"] if item["type"] == "pulumi:pulumi:Stack"]
    salt = state["secrets_providers"]["state"]["salt"]
    return dict(_decrypt(root.get("outputs", {}), _cipher_of(environment, salt)))


def encrypt_config(environment: Environment, salt: str, secret: Mapping[str, str]) -> dict[str, Any]:
    """Return the config with the values encrypted, as `pulumi config set --secret --path KEY` writes it.

    Args:
        environment: The environment with the passphrase.
        salt: The `encryptionsalt` of the config.
        secret: Values by key. The key `a.b` is the entry `b` of the map `a`.
    """
    config: dict[str, Any] = {}
    for key_path, text in secret.items():
        key, _, name = key_path.partition(".")
        value = _encrypt(_cipher_of(environment, salt), text)
        config[key] = config.get(key, {}) | {name: value} if name else value
    return config


def _encrypt(cipher: AESGCM, text: str) -> dict[str, str]:
    nonce = os.urandom(NONCE_BYTES)
    ciphertext = cipher.encrypt(nonce, text.encode(), None)
    return {"secure": ":".join(["v1", b64encode(nonce).decode(), b64encode(ciphertext).decode()])}


def _cipher_of(environment: Environment, salt: str) -> AESGCM:
    return _derive_cipher(environment.variables["PULUMI_CONFIG_PASSPHRASE"], salt)


@cache
def _derive_cipher(passphrase: str, salt: str) -> AESGCM:
    """Return the cipher for a passphrase and a salt of the form `v1:SALT:CHECK`. To derive its key takes long."""
    key = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), b64decode(salt.split(":")[1]), ITERATIONS, KEY_BYTES)
    return AESGCM(key)


def _decrypt(value: Any, cipher: AESGCM) -> Any:
    if isinstance(value, list):
        return [_decrypt(item, cipher) for item in value]
    if not isinstance(value, dict):
        return value
    if SIGNATURE in value:
        _, nonce, ciphertext = value["ciphertext"].split(":")
        return json.loads(cipher.decrypt(b64decode(nonce), b64decode(ciphertext), None))
    return {key: _decrypt(item, cipher) for key, item in value.items()}
