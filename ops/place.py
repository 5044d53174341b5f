"""Where a report is made: a registry, and what its stack knows of it, or nothing but its address and its CA."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from . import certificates, cluster, stack
from .facts import Authority, Leaf, Settings
from .stack import Outputs, Refusal, pulumi

UNKNOWN = Settings()


@dataclass(frozen=True)
class Place:
    """A registry, and what is known of it. `stack` is empty where nothing but its TLS can be looked at."""

    outputs: Outputs
    stack: str = ""
    users: tuple[str, ...] = ()
    settings: Settings = UNKNOWN
    drift: bool = False
    address: tuple[str, int] | None = None

    @property
    def about(self) -> dict[str, str]:
        """What it is, for a report's head."""
        return {"endpoint": self.outputs.endpoint, "stack": self.stack}

    @cached_property
    def leaf(self) -> Leaf:
        """As it is shown."""
        return certificates.shown_leaf(self.outputs, self.address)

    @cached_property
    def authorities(self) -> list[Authority]:
        """Those of `ca_pem`."""
        return certificates.trusted_authorities(self.outputs.ca_pem)

    @cached_property
    def cluster(self) -> Any:
        """A client of the API server, made when the first row needs it."""
        return cluster.connect()


def of_stack(name: str, *, drift: bool) -> Place:
    """The registry of a stack."""
    known = stack.all_outputs(name)
    return Place(Outputs.of(known), name, tuple(known.get("passwords") or ()), _settings(name), drift)


def bare(endpoint: str, ca: Path) -> Place:
    """A registry of which nothing is known but where it is and whom clients trust."""
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdigit():
        raise Refusal(f"{endpoint!r} is no HOST:PORT: give both, as in image references")
    try:
        ca_pem = ca.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"cannot read --ca {ca}: {getattr(error, 'strerror', 'it is no text')}") from None
    return Place(Outputs(endpoint, ca_pem, "", "", "NAMESPACE"))


def _settings(name: str) -> Settings:
    """From the stack's config with the defaults of Pulumi.yaml, which the engine puts in; nothing secret is asked."""
    project = yaml.safe_load((stack.PROJECT / "Pulumi.yaml").read_text())["name"]
    config: Mapping[str, Any] = json.loads(pulumi("config", "--json", "--stack", name))
    given = {key.removeprefix(f"{project}:"): value for key, value in config.items() if key.startswith(f"{project}:")}
    window = given.get("renew_before_days", {}).get("value")
    return Settings(
        tls_secret=given.get("tls_secret", {}).get("value"),
        brings_ca="ca_certificate" in given,
        renew_before_days=int(window) if window else None,
        ca_generations=given.get("ca_generations", {}).get("objectValue"),
    )
