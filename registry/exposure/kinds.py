"""The table of exposures. A new one is a module and a row."""

from ..choices import Exposure
from .external_ips import EXTERNAL_IPS
from .gateway import GATEWAY
from .ingress import INGRESS
from .kind import ExposureKind
from .load_balancer import LOAD_BALANCER
from .node_port import NODE_PORT

EXPOSURES: dict[str, ExposureKind] = {
    Exposure.CLUSTER: ExposureKind(is_external=False),
    Exposure.EXTERNAL_IPS: EXTERNAL_IPS,
    Exposure.NODE_PORT: NODE_PORT,
    Exposure.LOAD_BALANCER: LOAD_BALANCER,
    Exposure.INGRESS: INGRESS,
    Exposure.GATEWAY: GATEWAY,
}
