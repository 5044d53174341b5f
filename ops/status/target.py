"""The registry of a status report: that of a stack, or one with only an endpoint and a CA."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kubernetes.dynamic import DynamicClient

from .. import kubernetes
from ..errors import CommandError
from ..stack import Outputs, read_all_outputs, read_config
from . import certificates
from .facts import CertificateAuthority, ServerCertificate, StackSettings

UNKNOWN_SETTINGS = StackSettings()


@dataclass(frozen=True)
class Target:
    """A registry with its outputs, users and settings. If `stack` is "", only its TLS can be checked.

    `address` is the one to connect to, or None for the endpoint.
    """

    outputs: Outputs
    stack: str = ""
    users: tuple[str, ...] = ()
    settings: StackSettings = UNKNOWN_SETTINGS
    check_drift: bool = False
    address: tuple[str, int] | None = None

    @cached_property
    def server_certificate(self) -> ServerCertificate:
        """Return the certificate that the server presents."""
        return certificates.read_server_certificate(self.outputs, self.address)

    @cached_property
    def authorities(self) -> list[CertificateAuthority]:
        """Return the CAs of the output `ca_pem`."""
        return certificates.read_authorities(self.outputs.ca_pem)

    @cached_property
    def client(self) -> DynamicClient:
        """Return a client of the API server, connected when it is first used."""
        return kubernetes.connect()


def from_stack(name: str, *, check_drift: bool) -> Target:
    """Return the registry of a stack."""
    outputs = read_all_outputs(name)
    users = tuple(outputs.get("passwords") or ())
    return Target(Outputs.from_stack_outputs(outputs), name, users, _read_settings(name), check_drift)


def from_endpoint(endpoint: str, ca: Path) -> Target:
    """Return the registry at `endpoint`, whose clients trust the CAs of the file `ca`."""
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdigit():
        raise CommandError(
            f"The endpoint {endpoint!r} is not HOST:PORT.",
            "Type it as in image references, for example docker-registry:5000.",
        )
    try:
        ca_pem = ca.read_text()
    except OSError as error:
        raise CommandError(f"The file {ca} cannot be read: {error.strerror}.", "Pass another file as --ca.") from None
    except UnicodeDecodeError:
        raise CommandError(f"The file {ca} is not text.", "Pass a file in PEM format as --ca.") from None
    # Remedies name the namespace, which is unknown here.
    outputs = Outputs(endpoint, certificates.clean_pem(ca_pem), username="", password="", namespace="NAMESPACE")
    return Target(outputs)


def _read_settings(stack: str) -> StackSettings:
    values = read_config(stack)
    renew_before_days = values.get("renew_before_days", {}).get("value")
    return StackSettings(
        tls_secret=values.get("tls_secret", {}).get("value"),
        certificate_reload=values.get("certificate_reload", {}).get("value") != "false",
        has_issuer="certificate_issuer" in values,
        has_custom_ca="ca_certificate" in values,
        renew_before_days=int(renew_before_days) if renew_before_days else None,
        ca_generations=values.get("ca_generations", {}).get("objectValue"),
        mode=values.get("mode", {}).get("value"),
        storage=values.get("storage", {}).get("value"),
    )
