"""Read the outputs of a stack with the Pulumi command line.

Secrets pass through pipes into memory. They are neither printed nor written, and the `repr` of `Outputs` hides the
password.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml

from .errors import CommandError, NotDeployedError, PulumiError

CHECKOUT = Path(__file__).parents[1]

PROJECT = CHECKOUT if (CHECKOUT / "Pulumi.yaml").exists() else Path.cwd()
"""Directory of Pulumi.yaml: that of the checkout, or the current directory if `ops` is in a wheel."""

TIMEOUT = 60
"""Seconds to wait for one Pulumi command, whose backend may be slow."""

MASKED = "[secret]"
"""Text that Pulumi shows in place of a secret. It also masks a public output, such as a CA, made from a secret."""

PASSWORD_DELAY_MINUTES = 2
"""Minutes until a changed password works: the kubelet's sync period, and the lifetime of its cached Secret."""

REGISTRY_SELECTOR = "app.kubernetes.io/name=docker-registry"
"""Label selector of the registry's Pods. A literal, because the import of `registry` takes a second."""

DEFAULT_NAMESPACE = "docker-registry"
"""Default of the input `namespace`. A literal, because the import of `registry` takes a second."""


@dataclass(frozen=True)
class Endpoint:
    """The `host:port` that clients of a registry type."""

    endpoint: str

    @property
    def host(self) -> str:
        """Return the endpoint without its port."""
        return self.endpoint.rpartition(":")[0]

    @property
    def port(self) -> int:
        """Return the endpoint's port."""
        return int(self.endpoint.rpartition(":")[2])

    def describe_connection(self, address: tuple[str, int] | None) -> str:
        """Return `address` as text for messages, or the endpoint if it is None."""
        return "{} port {}".format(*address) if address else self.endpoint


@dataclass(frozen=True)
class Outputs(Endpoint):
    """The outputs of the program that `ops` needs, including the password."""

    ca_pem: str
    username: str
    password: str = field(repr=False)
    namespace: str

    @classmethod
    def from_stack_outputs(cls, outputs: Mapping[str, Any]) -> "Outputs":
        """Select the fields of this class from all outputs of a stack."""
        return cls(**{output.name: outputs[output.name] for output in fields(cls)})


@dataclass(frozen=True)
class PublicOutputs(Endpoint):
    """The outputs that a client needs before it logs in. None of them is secret."""

    ca_pem: str
    addresses: tuple[str, ...]
    """Addresses of the host for /etc/hosts. Empty if the stack does not know any."""


def read_outputs(stack: str) -> Outputs:
    """Return the outputs of `stack`. Raise if it has no user to log in as."""
    outputs = read_all_outputs(stack)
    if not outputs["username"]:
        raise CommandError(
            f"The stack {stack!r} has no password, because its users come from elsewhere (`users_secret` or `token`).",
            "Log in with one of those users, or use `python -m ops status`, which needs no password.",
        )
    return Outputs.from_stack_outputs(outputs)


def read_all_outputs(stack: str) -> dict[str, Any]:
    """Return every output of `stack`, including secrets. Raise if the stack is not deployed."""
    return _read_outputs(stack, [output.name for output in fields(Outputs)], "--show-secrets")


def read_config(stack: str) -> dict[str, dict[str, Any]]:
    """Return the config of `stack` by key, with the defaults of Pulumi.yaml. No secret is decrypted."""
    config: Mapping[str, Any] = json.loads(pulumi("config", "--json", "--stack", stack))
    prefix = _prefix()
    return {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}


def read_own_config(stack: str) -> dict[str, Any]:
    """Return the config that the stack sets itself, by key. A secret is a map with the key `secure`."""
    read_config(stack)  # fails if the stack does not exist
    file = PROJECT / f"Pulumi.{stack.rpartition('/')[2]}.yaml"
    config = (yaml.safe_load(file.read_text()) or {}).get("config") if file.exists() else None
    return {key.partition(":")[2]: value for key, value in (config or {}).items() if key.startswith(_prefix())}


def _prefix() -> str:
    """Return the prefix of the program's keys in the config."""
    return f"{yaml.safe_load((PROJECT / 'Pulumi.yaml').read_text())['name']}:"


def read_mode(stack: str) -> str | None:
    """Return the `mode` of the config, or None if it is not set or the config cannot be read."""
    try:
        mode = read_config(stack).get("mode", {}).get("value")
    except PulumiError:
        return None
    return str(mode) if mode else None


def read_namespace(stack: str) -> str:
    """Return the `namespace` of the config, or its default. A stack that is not deployed has no such output."""
    return str(read_config(stack).get("namespace", {}).get("value") or DEFAULT_NAMESPACE)


def read_public_outputs(stack: str) -> PublicOutputs:
    """Return the endpoint, CA and addresses. Stacks deployed by older versions have no addresses."""
    outputs = _read_outputs(stack, ["endpoint", "ca_pem"])
    for name in ("endpoint", "ca_pem", "addresses"):
        if outputs.get(name) == MASKED:
            outputs[name] = json.loads(pulumi("stack", "output", name, "--json", "--show-secrets", "--stack", stack))
    return PublicOutputs(outputs["endpoint"], outputs["ca_pem"], tuple(outputs.get("addresses") or ()))


def parse_address(text: str, default_port: int) -> tuple[str, int]:
    """Parse `IP`, `IP:port` or `[IP]:port`. Raise ValueError for any other text."""
    host, colon, port = text.rpartition(":")
    if not colon or (text.count(":") > 1 and not host.endswith("]")):
        host, port = text, str(default_port)
    return str(ip_address(host.strip("[]"))), int(port)


def pulumi(*arguments: str, stdin: str = "", timeout: float = TIMEOUT) -> str:
    """Run a Pulumi command without prompts and return its standard output. Raise `PulumiError` if it fails."""
    command = " ".join(["pulumi", *arguments[:2]])
    argv = ["pulumi", "--non-interactive", *arguments]
    try:
        result = subprocess.run(argv, cwd=PROJECT, input=stdin, capture_output=True, text=True, timeout=timeout)
    except FileNotFoundError:
        raise PulumiError(
            "There is no `pulumi` on PATH.",
            'Install it, or run `eval "$(python -m dev env)"` to use the one that `make up` built.',
        ) from None
    except subprocess.TimeoutExpired:
        raise PulumiError(
            f"`{command}` did not finish within {timeout:.0f} seconds.",
            "Check that the Pulumi backend and the cluster are reachable.",
        ) from None
    if result.returncode != 0:
        raise PulumiError(
            f"`{command}` failed: {_engine_error(result.stdout) or _error_line(result.stderr)}.",
            "Check the backend, the passphrase and the name of the stack. `pulumi stack ls --all` lists the stacks.",
        )
    return result.stdout


def _read_outputs(stack: str, required: Sequence[str], *options: str) -> dict[str, Any]:
    """Return all outputs of `stack`. Raise if one of `required` is missing."""
    outputs: dict[str, Any] = json.loads(pulumi("stack", "output", "--json", *options, "--stack", stack))
    missing_outputs = [name for name in required if name not in outputs]
    if missing_outputs:
        raise NotDeployedError(
            f"The stack {stack!r} has no output {missing_outputs[0]!r}, so it is not deployed.",
            f"Deploy it with `pulumi up --stack {stack}`.",
        )
    return outputs


def _engine_error(stdout: str) -> str:
    """Return the error of the engine in the output of `--json`, or "". The stack only repeats that there was one."""
    try:
        diagnostics = json.loads(stdout)["diagnostics"]
        messages = [str(each["message"]) for each in diagnostics if each["severity"] == "error"]
    except (ValueError, KeyError, TypeError):
        return ""
    texts = [" ".join(message.removeprefix("error: ").split()).rstrip(".") for message in messages]
    return next((text for text in texts if text not in ("preview failed", "update failed")), "")


def _error_line(stderr: str) -> str:
    """Return Pulumi's last error, one line without its full stop."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or ["it printed no error"])[-1].rstrip(".")
