"""The table of exposures. A new one is a module and a row."""

from .external_ips import EXTERNAL_IPS
from .ingress import INGRESS
from .kind import ExposureKind
from .load_balancer import LOAD_BALANCER
from .node_port import NODE_PORT

EXPOSURES = {
    "cluster": ExposureKind(is_external=False),
    "external-ips": EXTERNAL_IPS,
    "node-port": NODE_PORT,
    "load-balancer": LOAD_BALANCER,
    "ingress": INGRESS,
}
