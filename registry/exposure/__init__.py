"""Exposure: the endpoint, the Service, and routes to it (docs/adr/0011-exposure.md)."""

from .endpoint import Endpoint, resolve_endpoint
from .kinds import EXPOSURES
from .service import cluster_address, create_service, external_addresses

__all__ = ["EXPOSURES", "Endpoint", "cluster_address", "create_service", "external_addresses", "resolve_endpoint"]
