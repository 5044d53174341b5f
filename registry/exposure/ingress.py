"""Exposure by an Ingress: its controller terminates TLS and connects to the Service by TLS."""

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.networking.v1 import HTTPIngressPathArgsDict

from ..context import SKIP_AWAIT, Context
from ..lookup import FoundObjects
from ..settings import ExposureSettings
from .kind import ExposureKind, Service

HTTPS = 443
"""Port of an Ingress controller."""

INGRESS_NGINX_ANNOTATIONS = {
    "nginx.ingress.kubernetes.io/backend-protocol": "HTTPS",
    "nginx.ingress.kubernetes.io/proxy-body-size": "0",
    "nginx.ingress.kubernetes.io/proxy-buffering": "off",
    "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
    "nginx.ingress.kubernetes.io/proxy-read-timeout": "900",
    "nginx.ingress.kubernetes.io/proxy-send-timeout": "900",
}
"""Annotations for large layers: no size limit, no copy on the controller's disk, and timeouts of 15 minutes."""

ALLOWED_NETWORKS = "nginx.ingress.kubernetes.io/whitelist-source-range"
"""Annotation with the networks of the clients. The NetworkPolicy cannot check them, because it sees the controller."""


def _client_port(settings: ExposureSettings, found: pulumi.Output[FoundObjects]) -> pulumi.Input[int]:
    return HTTPS


def _create_ingress(
    ctx: Context, settings: ExposureSettings, service: Service, tls_secret_name: pulumi.Input[str]
) -> None:
    """Create the Ingress, which serves the registry's own certificate."""
    assert settings.ingress_class is not None, "the exposure requires a class"
    allowed = pulumi.Output.from_input(settings.client_cidrs).apply(
        lambda cidrs: {ALLOWED_NETWORKS: ",".join(cidrs)} if cidrs else {}
    )
    metadata = ctx.metadata(ctx.app)
    metadata["annotations"] = allowed.apply(
        lambda restriction: {**ctx.annotations, **SKIP_AWAIT, **INGRESS_NGINX_ANNOTATIONS, **restriction}
    )
    everything: HTTPIngressPathArgsDict = {
        "path": "/",
        "path_type": "Prefix",
        "backend": {"service": {"name": service.metadata.name, "port": {"name": "registry"}}},
    }
    kubernetes.networking.v1.Ingress(
        f"{ctx.name}-service-ingress",
        metadata=metadata,
        spec={
            "ingress_class_name": settings.ingress_class,
            "tls": [{"hosts": [settings.hostname], "secret_name": tls_secret_name}],
            "rules": [{"host": settings.hostname, "http": {"paths": [everything]}}],
        },
        opts=ctx.options(),
    )


INGRESS = ExposureKind(client_port=_client_port, behind_ingress=True, create_route=_create_ingress)
