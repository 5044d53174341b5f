"""What a report is made of: what was found out of a registry, as values."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Leaf:
    """The registry's certificate: days left, the name of the CA that signed it, and whether clients trust that."""

    days: float
    signer: str
    trusted: bool


@dataclass(frozen=True)
class Authority:
    """A CA that clients trust: its name, its generation if it is one of the component's own, and days left."""

    name: str
    generation: int | None
    days: float


@dataclass(frozen=True)
class Space:
    """Bytes of the volume, and of those what is left for images."""

    size: int
    free: int


@dataclass(frozen=True)
class Trust:
    """Nodes that have the files by which they trust the registry, of those that shall have them."""

    ready: int
    desired: int


@dataclass(frozen=True)
class Settings:
    """What of the stack's config matters here: whose the certificate is, and what was asked for. None: not known."""

    tls_secret: str | None = None
    brings_ca: bool = False
    renew_before_days: int | None = None
    ca_generations: Sequence[int] | None = None
