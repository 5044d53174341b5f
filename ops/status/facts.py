"""The values of a status report. Their fields are the keys of `facts` in its JSON."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ServerCertificate:
    """Days left, the name of the CA that issued it, and whether clients trust that CA."""

    days: float
    signer: str
    trusted: bool


@dataclass(frozen=True)
class CertificateAuthority:
    """A CA that clients trust: its name, its generation if the component generated it, and days left."""

    name: str
    generation: int | None
    days: float


@dataclass(frozen=True)
class DiskSpace:
    """Bytes of the volume, and how many of them are free."""

    size: int
    free: int


@dataclass(frozen=True)
class NodeTrust:
    """Number of nodes that have the files of `node_trust`, and number of nodes that should have them."""

    ready: int
    desired: int


@dataclass(frozen=True)
class ServerState:
    """A server behind the registry, and why the registry cannot use it. Without a cause, it can."""

    name: str
    summary: str
    remedy: str = ""


@dataclass(frozen=True)
class StackSettings:
    """The settings of the stack that the verdicts depend on. None means unknown."""

    tls_secret: str | None = None
    has_custom_ca: bool = False
    renew_before_days: int | None = None
    ca_generations: Sequence[int] | None = None
    mode: str | None = None
