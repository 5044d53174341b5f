"""Exposure by a Gateway of the cluster: it passes TLS through, so clients get the registry's own certificate.

The route has all names that clients may type (docs/adr/0033-gateway.md).
"""

import pulumi
import pulumi_kubernetes as kubernetes

from ..context import Context
from ..lookup import FoundObjects
from ..settings import ExposureSettings
from ..validation.gateways import GATEWAY_API, listener_port, route_hostnames
from .kind import ExposureKind, Service

USUAL_PORT = 443
"""Port of a listener, as long as the Gateway is not known."""

ACCEPTED = '{.status.parents[*].conditions[?(@.type == "Accepted")].status}=True'
WAIT_FOR_GATEWAY = {"pulumi.com/waitFor": f"jsonpath={ACCEPTED}"}
"""Annotation that waits until the controller of the Gateway has accepted the route."""

TIMEOUT = pulumi.CustomTimeouts(create="2m", update="2m")
"""Time for the controller. The lookups have refused a listener that would not accept the route."""


def _client_port(settings: ExposureSettings, found: pulumi.Output[FoundObjects]) -> pulumi.Input[int]:
    return pulumi.Output.all(found, settings.gateway_listener).apply(
        lambda resolved: listener_port(resolved[0].gateway or {}, resolved[1]) or USUAL_PORT
    )


def _create_route(
    ctx: Context, settings: ExposureSettings, service: Service, tls_secret_name: pulumi.Input[str]
) -> None:
    """Create the TLSRoute with all names that clients may type."""
    hostnames = pulumi.Output.all(settings.hostname, settings.certificate_names).apply(
        lambda resolved: route_hostnames(*resolved)
    )
    listener = {
        "name": settings.gateway,
        "namespace": settings.gateway_namespace,
        "sectionName": settings.gateway_listener,
    }
    kubernetes.apiextensions.CustomResource(
        f"{ctx.name}-service-route",
        api_version=GATEWAY_API,
        kind="TLSRoute",
        metadata=ctx.metadata(ctx.app, annotations=WAIT_FOR_GATEWAY),
        spec={
            "parentRefs": [listener],
            "hostnames": hostnames,
            "rules": [{"backendRefs": [{"name": service.metadata.name, "port": settings.port}]}],
        },
        opts=ctx.options(custom_timeouts=TIMEOUT),
    )


GATEWAY = ExposureKind(client_port=_client_port, create_route=_create_route)
