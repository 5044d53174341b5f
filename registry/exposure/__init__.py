"""How clients reach the registry (docs/adr/0011-exposure.md). Each exposure is one row of `EXPOSURES`."""

from .endpoint import Endpoint, resolve_endpoint
from .external_ips import EXTERNAL_IPS
from .ingress import INGRESS
from .kind import ExposureKind
from .load_balancer import LOAD_BALANCER
from .node_port import NODE_PORT
from .service import create_service, external_addresses

__all__ = ["EXPOSURES", "Endpoint", "ExposureKind", "create_service", "external_addresses", "resolve_endpoint"]

EXPOSURES = {
    "cluster": ExposureKind(is_external=False),
    "external-ips": EXTERNAL_IPS,
    "node-port": NODE_PORT,
    "load-balancer": LOAD_BALANCER,
    "ingress": INGRESS,
}
