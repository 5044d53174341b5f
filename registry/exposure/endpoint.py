"""The endpoint that clients type, and every name and address of the registry."""

from typing import NamedTuple

import pulumi

from ..lookup import FoundObjects
from ..settings import ExposureSettings
from .kinds import EXPOSURES


class Endpoint(NamedTuple):
    """How clients reach the registry.

    Attributes:
        host: Name that clients type before the port.
        host_port: host:port, as in image references.
        hosts: All names and addresses of a certificate that is issued for the registry, the common name first.
    """

    host: pulumi.Output[str]
    host_port: pulumi.Output[str]
    hosts: pulumi.Output[list[str]]


def resolve_endpoint(
    app: str, namespace: str, settings: ExposureSettings, found: pulumi.Output[FoundObjects]
) -> Endpoint:
    """Return the endpoint, and the other names and addresses that clients may type."""
    kind = EXPOSURES[settings.exposure]
    service = f"{app}.{namespace}"
    service_names = [service, f"{service}.svc", f"{service}.svc.cluster.local"]
    names = [settings.hostname, *service_names, *settings.external_ips, settings.load_balancer_address]
    # Depend on the class too, so that an invalid one fails before a certificate is issued.
    hosts = pulumi.Output.all(names, settings.certificate_names, settings.load_balancer_class).apply(
        lambda resolved: list(dict.fromkeys(host for host in [*resolved[0], *resolved[1]] if host))
    )
    host = pulumi.Output.from_input(settings.hostname if kind.is_external else f"{service}.svc")
    port = pulumi.Output.from_input(kind.client_port(settings, found)).apply(str)
    return Endpoint(host, pulumi.Output.concat(host, ":", port), hosts)
