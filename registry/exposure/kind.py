"""The properties of an exposure."""

from collections.abc import Callable
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.core.v1 import ServiceSpecArgsDict

from ..context import Context
from ..lookup import FoundObjects
from ..settings import ExposureSettings

Service = kubernetes.core.v1.Service

SpecFields = Callable[[ExposureSettings], ServiceSpecArgsDict]


def _service_port(settings: ExposureSettings, found: pulumi.Output[FoundObjects]) -> pulumi.Input[int]:
    return settings.port


def _no_fields(settings: ExposureSettings) -> ServiceSpecArgsDict:
    return {}


def _no_addresses(settings: ExposureSettings, service: Service) -> pulumi.Input[list[str]]:
    return []


@dataclass(frozen=True)
class ExposureKind:
    """The properties of an exposure. The defaults are those of a Service inside the cluster.

    Attributes:
        service_type: Type of the Service.
        is_external: Whether clients outside the cluster type the hostname. Otherwise the endpoint is the Service.
        client_port: Returns the port that clients type.
        behind_ingress: Whether an Ingress controller connects to the Service for the clients.
        needs_node: Whether the input `node` must name an existing node.
        annotations: Annotations of the Service, or None to skip the provider's readiness check.
        spec_fields: Returns more fields of the Service's spec.
        addresses: Returns the addresses that DNS must point to.
        create_route: Creates the objects that route clients to the Service. The last argument names the TLS Secret.
    """

    service_type: str = "ClusterIP"
    is_external: bool = True
    client_port: Callable[[ExposureSettings, pulumi.Output[FoundObjects]], pulumi.Input[int]] = _service_port
    behind_ingress: bool = False
    needs_node: bool = False
    annotations: dict[str, str] | None = None
    spec_fields: SpecFields = _no_fields
    addresses: Callable[[ExposureSettings, Service], pulumi.Input[list[str]]] = _no_addresses
    create_route: Callable[[Context, ExposureSettings, Service, pulumi.Input[str]], None] | None = None


def traffic_policy(settings: ExposureSettings) -> ServiceSpecArgsDict:
    """Return the traffic policy. With `Cluster`, the NetworkPolicy could not compare clients with `client_cidrs`.

    It would see the address of the node that passes on the connection.
    """
    client_cidrs = pulumi.Output.from_input(settings.client_cidrs)
    return {"external_traffic_policy": client_cidrs.apply(lambda cidrs: "Local" if cidrs else "Cluster")}
