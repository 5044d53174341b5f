"""What the stack says about its registry: the outputs of the program, read through `pulumi stack output`.

The password passes through a pipe into memory. It is neither printed nor written, and no `repr` shows it.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
"""The folder of Pulumi.yaml: commands work from wherever they are called."""

TIMEOUT = 60
"""Seconds for one command of the engine: its backend may be far away."""

MASKED = "[secret]"
"""What the engine shows of a secret: a CA is none, but may come out of one."""


class Refusal(Exception):
    """A command cannot do its work. The text is one line: what is in the way, and what to do about it."""


@dataclass(frozen=True)
class Endpoint:
    """Where a registry is, as clients type it: `host:port`."""

    endpoint: str

    @property
    def host(self) -> str:
        """The name that clients type, without the port."""
        return self.endpoint.rpartition(":")[0]

    @property
    def port(self) -> int:
        """The port that clients type."""
        return int(self.endpoint.rpartition(":")[2])

    def where(self, address: tuple[str, int] | None) -> str:
        """What is connected to, for people."""
        return "{} port {}".format(*address) if address else self.endpoint


@dataclass(frozen=True)
class Outputs(Endpoint):
    """What the program exports."""

    ca_pem: str
    username: str
    password: str = field(repr=False)
    namespace: str

    @classmethod
    def of(cls, known: Mapping[str, Any]) -> "Outputs":
        """Those of them that are needed here."""
        return cls(**{output.name: known[output.name] for output in fields(cls)})


@dataclass(frozen=True)
class Known(Endpoint):
    """What a client has to know before it logs in. Nothing of it is secret."""

    ca_pem: str
    addresses: tuple[str, ...]
    """Where the host has to lead; none if the stack knows none."""


def read_outputs(stack: str) -> Outputs:
    """The outputs of `stack` as they were after its last `pulumi up`, if there is a user to log in as."""
    known = all_outputs(stack)
    if not known["username"]:
        raise Refusal(f"stack {stack!r} knows no password: its users come from a Secret of yours (`users_secret`)")
    return Outputs.of(known)


def all_outputs(stack: str) -> dict[str, Any]:
    """Every output of `stack`, secrets too, if it was brought up."""
    return _outputs(stack, [output.name for output in fields(Outputs)], "--show-secrets")


def read_known(stack: str) -> Known:
    """What clients of `stack` have to know; an `up` from before there were addresses told none."""
    known = _outputs(stack, ["endpoint", "ca_pem"])
    for name in ("endpoint", "ca_pem", "addresses"):
        if known.get(name) == MASKED:
            known[name] = json.loads(pulumi("stack", "output", name, "--json", "--show-secrets", "--stack", stack))
    return Known(known["endpoint"], known["ca_pem"], tuple(known.get("addresses") or ()))


def _outputs(stack: str, names: Sequence[str], *options: str) -> dict[str, Any]:
    """All outputs of `stack`, among them those of `names`."""
    known: dict[str, Any] = json.loads(pulumi("stack", "output", "--json", *options, "--stack", stack))
    missing = [name for name in names if name not in known]
    if missing:
        raise Refusal(f"stack {stack!r} has no output {missing[0]!r}: bring it up with `pulumi up --stack {stack}`")
    return known


def pulumi(*command: str, given: str = "", timeout: float = TIMEOUT) -> str:
    """What a command of the engine prints; `given` goes to its standard input. It never asks back."""
    said = " ".join(["pulumi", *command[:2]])
    argv = ["pulumi", "--non-interactive", *command]
    try:
        done = subprocess.run(argv, cwd=PROJECT, input=given, capture_output=True, text=True, timeout=timeout)
    except FileNotFoundError:
        raise Refusal('no `pulumi` on PATH: install it, or `eval "$(python -m dev env)"` for the built one') from None
    except subprocess.TimeoutExpired:
        raise Refusal(f"`{said}` gave no answer in {timeout:.0f} s: is its backend reachable?") from None
    if done.returncode != 0:
        raise Refusal(f"`{said}` failed, {_reason(done.stderr)}: see `pulumi stack ls --all`")
    return done.stdout


def _reason(stderr: str) -> str:
    """The engine's own error, one line of it."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or ["without a word"])[-1]
