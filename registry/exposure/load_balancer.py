"""Exposure by a load balancer of the cluster."""

from typing import Any

import pulumi
from pulumi_kubernetes.core.v1 import ServiceSpecArgsDict

from ..settings import ExposureSettings
from .kind import ExposureKind, Service, traffic_policy

WAIT_FOR_LOAD_BALANCER = {"pulumi.com/waitFor": "jsonpath={.status.loadBalancer.ingress}"}
"""Annotation that waits until the load balancer has an address."""


def _spec_fields(settings: ExposureSettings) -> ServiceSpecArgsDict:
    spec = traffic_policy(settings)
    if settings.load_balancer_class is not None:
        spec["load_balancer_class"] = settings.load_balancer_class
    if settings.load_balancer_address is not None:
        spec["load_balancer_ip"] = settings.load_balancer_address
    return spec


def _addresses(settings: ExposureSettings, service: Service) -> pulumi.Input[list[str]]:
    """Return the addresses of the status, or the requested address, which a load balancer may ignore."""
    both = pulumi.Output.all(service.status.apply(_status_addresses), settings.load_balancer_address)
    return both.apply(lambda resolved: resolved[0] or ([resolved[1]] if resolved[1] else []))


def _status_addresses(status: Any) -> list[str]:
    """Return the IP addresses of a load balancer. It may have only a DNS name, as on AWS, which is left out."""
    load_balancer = status.load_balancer if status else None
    return [item.ip for item in (load_balancer.ingress if load_balancer else None) or [] if item.ip]


LOAD_BALANCER = ExposureKind(
    service_type="LoadBalancer",
    annotations=WAIT_FOR_LOAD_BALANCER,
    spec_fields=_spec_fields,
    addresses=_addresses,
)
