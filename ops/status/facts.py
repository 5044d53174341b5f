"""The values of a status report, and the settings that decide their rating.

The fields of the values are the keys of `facts` in the JSON.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ServerCertificate:
    """A server certificate: days left, the name of the CA that issued it, and whether clients trust that CA."""

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
    """The size of a volume and its free space, in bytes."""

    size: int
    free: int


@dataclass(frozen=True)
class NodeTrust:
    """Number of nodes that have the files of `node_trust`, and number of nodes that should have them."""

    ready: int
    desired: int


@dataclass(frozen=True)
class ServerState:
    """A server behind the registry: its name, whether the registry can use it, and the remedy, or "" if it can."""

    name: str
    summary: str
    remedy: str = ""


@dataclass(frozen=True)
class JobState:
    """The last run of a maintenance job.

    Attributes:
        name: Name of the CronJob, whose log tells more.
        hours: Hours since its end, or None if no run has ended.
        error: Reason of a failure, or "".
        is_late: Whether a scheduled run did not happen, and the next one neither.
        summary: Counts of the run, and the damage that it found.
    """

    name: str
    hours: float | None
    error: str
    is_late: bool
    summary: Mapping[str, Any]


@dataclass(frozen=True)
class StackSettings:
    """The settings of the stack that the verdicts depend on. None means that a setting is unknown or not set."""

    tls_secret: str | None = None
    has_custom_ca: bool = False
    renew_before_days: int | None = None
    ca_generations: Sequence[int] | None = None
    mode: str | None = None
