"""Exposure: the endpoint, the Service, and routes to it (docs/adr/0011-exposure.md)."""

from .endpoint import Endpoint, resolve_endpoint
from .kinds import EXPOSURES
from .service import create_service, external_addresses

__all__ = ["EXPOSURES", "Endpoint", "create_service", "external_addresses", "resolve_endpoint"]
