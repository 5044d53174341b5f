"""Exposure by external IPs: the nodes with these addresses accept connections, as in the guide."""

import pulumi
from pulumi_kubernetes.core.v1 import ServiceSpecArgsDict

from ..settings import ExposureSettings
from .kind import ExposureKind, Service, traffic_policy


def _spec_fields(settings: ExposureSettings) -> ServiceSpecArgsDict:
    return {"external_ips": settings.external_ips, **traffic_policy(settings)}


def _addresses(settings: ExposureSettings, service: Service) -> pulumi.Input[list[str]]:
    return settings.external_ips


EXTERNAL_IPS = ExposureKind(needs_node=True, spec_fields=_spec_fields, addresses=_addresses)
