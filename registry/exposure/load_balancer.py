"""Exposure by a load balancer of the cluster."""

from typing import Any

import pulumi
from pulumi_kubernetes.core.v1 import ServiceSpecArgsDict

from ..lookup import FoundObjects
from ..settings import ExposureSettings
from ..validation.external_ips import api_server_service
from ..validation.network import require_cluster_family
from .kind import ExposureKind, Service, traffic_policy

WAIT_FOR_LOAD_BALANCER = {"pulumi.com/waitFor": "jsonpath={.status.loadBalancer.ingress}"}
"""Annotation that waits until the load balancer has an address."""


def _spec_fields(settings: ExposureSettings, found: pulumi.Output[FoundObjects]) -> ServiceSpecArgsDict:
    spec = traffic_policy(settings)
    if settings.load_balancer_class is not None:
        spec["load_balancer_class"] = settings.load_balancer_class
    if settings.load_balancer_address is not None:
        requested = pulumi.Output.all(settings.load_balancer_address, found)
        spec["load_balancer_ip"] = requested.apply(lambda both: _supported_address(*both))
    return spec


def _supported_address(address: str, found: FoundObjects) -> str:
    """Return the address, if the cluster's Services have addresses of its family."""
    if api := api_server_service(found.services or []):
        require_cluster_family("load_balancer_address", [address], api["spec"]["clusterIP"])
    return address


def _addresses(settings: ExposureSettings, service: Service) -> pulumi.Input[list[str]]:
    """Return the addresses of the status. They win, because a load balancer may ignore the requested address."""
    both = pulumi.Output.all(service.status.apply(_status_addresses), settings.load_balancer_address)
    return both.apply(lambda resolved: resolved[0] or ([resolved[1]] if resolved[1] else []))


def _status_addresses(status: Any) -> list[str]:
    """Return the IP addresses of a load balancer. AWS's have only a name, which clients resolve by themselves."""
    load_balancer = status.load_balancer if status else None
    return [item.ip for item in (load_balancer.ingress if load_balancer else None) or [] if item.ip]


LOAD_BALANCER = ExposureKind(
    service_type="LoadBalancer",
    annotations=WAIT_FOR_LOAD_BALANCER,
    spec_fields=_spec_fields,
    addresses=_addresses,
)
