"""The Service: a stable address in front of the registry."""

import pulumi
from pulumi_kubernetes.core.v1 import ServicePortArgsDict, ServiceSpecArgsDict

from ..context import SKIP_AWAIT, Context
from ..settings import ExposureSettings
from .kind import Service
from .kinds import EXPOSURES

REPLACE_ON = ["spec.ports", "spec.type", "spec.loadBalancerClass", "spec.ipFamilies[0]"]
"""Fields that need a new Service.

Server-side apply would keep an old port. The class and the first family are immutable."""


def create_service(ctx: Context, settings: ExposureSettings, target_port: int) -> Service:
    """Create the Service. With a load balancer, wait until it has an address."""
    kind = EXPOSURES[settings.exposure]
    port: ServicePortArgsDict = {"name": "registry", "port": settings.port, "target_port": target_port}
    if settings.node_port is not None:
        port["node_port"] = settings.node_port
    metadata, own = ctx.metadata(ctx.app), kind.annotations or SKIP_AWAIT
    metadata["annotations"] = pulumi.Output.from_input(settings.service_annotations or {}).apply(
        lambda more: {**ctx.annotations, **more, **own}
    )
    families: ServiceSpecArgsDict = {"ip_families": settings.ip_families} if settings.ip_families else {}
    return Service(
        f"{ctx.name}-service",
        metadata=metadata,
        spec={
            "selector": ctx.selector,
            "type": kind.service_type,
            "ports": [port],
            "ip_family_policy": settings.ip_family_policy,
            **families,
            **kind.spec_fields(settings),
        },
        opts=ctx.options(replace_on_changes=REPLACE_ON, delete_before_replace=True),
    )


def cluster_address(service: Service) -> pulumi.Output[str]:
    """Return the address of the Service in the cluster.

    It is unknown at a preview that cannot ask the API server, because the namespace does not exist yet.
    """
    return service.spec.cluster_ip.apply(lambda address: address or pulumi.UNKNOWN)


def external_addresses(settings: ExposureSettings, service: Service) -> pulumi.Output[list[str]]:
    """Return the addresses that DNS must point to, if the exposure has any."""
    return pulumi.Output.from_input(EXPOSURES[settings.exposure].addresses(settings, service))
