"""The values of a status report, and the settings that decide their rating.

The fields of the values are the keys of `facts` in the JSON.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ServerCertificate:
    """A server certificate: days left, the name of the CA that issued it, and whether clients trust that CA.

    `fingerprint` is its SHA-256 in hexadecimal digits.
    """

    days: float
    signer: str
    trusted: bool
    fingerprint: str = ""


@dataclass(frozen=True)
class CertificateAuthority:
    """A CA that clients trust: its name, its generation if the component generated it, and days left."""

    name: str
    generation: int | None
    days: float


@dataclass(frozen=True)
class PushState:
    """The answer to a push: the `mode` that it shows, or the reason why no push was possible."""

    mode: str = ""
    reason: str = ""


@dataclass(frozen=True)
class VolumeState:
    """The claim and the volume of the images.

    Attributes:
        claim: Name of the claim.
        volume: Name of the volume, or "" if it is not known.
        deleted: Names of these objects that are being deleted, with their kinds.
        is_folder: Whether the volume is a folder of a node, which stays when the objects are deleted.
    """

    claim: str
    volume: str
    deleted: Sequence[str]
    is_folder: bool


@dataclass(frozen=True)
class TerminatedContainer:
    """The last termination of a container that was started again.

    Attributes:
        pod: Name of the Pod.
        name: Name of the container.
        restarts: Number of its starts after the first one.
        reason: Reason by the words of the kubelet, such as OOMKilled.
        exit_code: Its exit code.
        hours: Hours since the termination.
        memory: Its memory limit, or "".
    """

    pod: str
    name: str
    restarts: int
    reason: str
    exit_code: int
    hours: float
    memory: str


@dataclass(frozen=True)
class SecretState:
    """A Secret of the Pods, and how it differs from the content that they use. `difference` is "" if it is the same."""

    name: str
    difference: str


@dataclass(frozen=True)
class NodeTrust:
    """The nodes with the files of `node_trust`.

    Attributes:
        ready: Number of nodes that have the files.
        desired: Number of nodes that should have them.
        nodes: Whether a node has the files, by its name. A node without a Pod is missing.
    """

    ready: int
    desired: int
    nodes: Mapping[str, bool] = field(default_factory=dict)


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
        name: Name of the CronJob, whose log has the details.
        hours: Hours since its end, or None if no run has ended.
        error: Reason of a failure, or "".
        is_late: Whether a scheduled run did not happen, and the next one neither.
        summary: Counts of the run, and the damage that it found.
        is_suspended: Whether the CronJob is suspended, so that no run is scheduled.
        schedule: Its schedule.
        last_success: Time of the last run that succeeded, or "".
        next_run: Time of the next scheduled run, or "" if it is suspended.
    """

    name: str
    hours: float | None
    error: str
    is_late: bool
    summary: Mapping[str, Any]
    is_suspended: bool = False
    schedule: str = ""
    last_success: str = ""
    next_run: str = ""


@dataclass(frozen=True)
class StackSettings:
    """The settings of the stack that the verdicts depend on. None means that a setting is unknown or not set."""

    tls_secret: str | None = None
    certificate_reload: bool = True
    has_issuer: bool = False
    has_custom_ca: bool = False
    renew_before_days: int | None = None
    ca_generations: Sequence[int] | None = None
    mode: str | None = None
    storage: str | None = None

    @property
    def has_generated_ca(self) -> bool:
        """Whether the CA is not known to be one of the user's or of cert-manager."""
        return self.tls_secret is None and not self.has_issuer and not self.has_custom_ca
