"""Run a real controller of the Gateway API in the host network of k8s-worker, with a Gateway that passes TLS through.

The controller is Traefik, which lab tests also use for an Ingress. The CRDs are those of the Go module that Traefik is
built with. The daemon ends with the lab.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from dev.cluster import network, process
from dev.cluster.plan import WORKER
from dev.cluster.process import Daemon
from dev.toolchain.build import build_program
from registry.validation.gateways import GATEWAY_API
from tests.e2e.crds import module_folder
from tests.e2e.kube_api import Object
from tests.e2e.lab import Lab

NAME = "gateway"
ADDRESS, PORT = WORKER.address, 8443
NAMESPACE = "gateways"
INPUTS = {
    "exposure": "gateway",
    "gateway": "shared",
    "gateway_namespace": NAMESPACE,
    "gateway_listener": "passthrough",
}


@contextmanager
def serve(lab: Lab) -> Iterator[None]:
    """Run the controller with a Gateway for all namespaces until the block ends."""
    folder = module_folder("current", "sigs.k8s.io/gateway-api") / "config/crd/standard"
    crds = [str(file) for file in folder.glob("*.yaml") if "_vap_" not in file.name]  # not the admission policy
    files = ",".join(crds)
    controller = Daemon(WORKER, NAME, _command())
    environment = {"PATH": os.environ["PATH"], "KUBECONFIG": str(lab.cluster.kubeconfig)}
    try:
        lab.kubectl("create", "--filename", files)
        lab.kubectl("wait", "--for=condition=Established", "--filename", files, "--timeout=30s")
        lab.kubectl("create", "namespace", NAMESPACE)
        documents = "\n---\n".join(json.dumps(item) for item in _objects())
        lab.environment.run("kubectl", "create", "--filename", "-", stdin=documents)
        process.start(lab.cluster.plan, controller, environment)
        process.wait_until_ready(lab.cluster.plan, controller, lambda: _listens(lab))
        yield
    finally:
        process.stop(lab.cluster.plan, WORKER, NAME)
        lab.kubectl("delete", "--wait=false", "--filename", files)
        lab.kubectl("delete", "--wait=false", "namespace", NAMESPACE)


def _command() -> tuple[str, ...]:
    return (
        str(build_program("traefik") / "traefik"),
        f"--entrypoints.passthrough.address={ADDRESS}:{PORT}",
        "--providers.kubernetesgateway=true",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
    )


def _objects() -> list[Object]:
    listener = {
        "name": "passthrough",
        "port": PORT,
        "protocol": "TLS",
        "hostname": "*.example.com",
        "tls": {"mode": "Passthrough"},
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    return [
        {
            "apiVersion": GATEWAY_API,
            "kind": "GatewayClass",
            "metadata": {"name": "lab"},
            "spec": {"controllerName": "traefik.io/gateway-controller"},
        },
        {
            "apiVersion": GATEWAY_API,
            "kind": "Gateway",
            "metadata": {"name": "shared", "namespace": NAMESPACE},
            "spec": {"gatewayClassName": "lab", "listeners": [listener]},
        },
    ]


def _listens(lab: Lab) -> bool:
    try:
        network.connect(lab.cluster.plan, WORKER, PORT, ADDRESS).close()
    except OSError:
        return False
    return True
