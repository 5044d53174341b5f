"""Run a real Ingress controller in the host network of k8s-worker, as a DaemonSet with hostNetwork would.

The controller is Traefik, whose provider for ingress-nginx reads the annotations of ingress-nginx. It has the same
defaults as ingress-nginx: request bodies are buffered, and limited to 1 MiB. The daemon ends with the lab.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from dev.cluster import Cluster, process
from dev.cluster.plan import WORKER
from dev.cluster.process import Daemon
from dev.toolchain.build import build_program

NAME = "traefik"
CLASS = "lab"
ADDRESS = WORKER.address
INGRESS_CLASS = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "IngressClass",
    "metadata": {"name": CLASS},
    "spec": {"controller": "k8s.io/ingress-nginx"},
}


@contextmanager
def serve(cluster: Cluster) -> Iterator[str]:
    """Run the controller on port 443 of k8s-worker until the block ends. Yield the name of its class."""
    _kubectl(cluster, "apply")
    controller = Daemon(WORKER, NAME, _command())
    process.start(cluster.plan, controller, {"PATH": os.environ["PATH"], "KUBECONFIG": str(cluster.kubeconfig)})
    try:
        process.wait_until_ready(cluster.plan, controller, lambda: _listens(cluster))
        yield CLASS
    finally:
        process.stop(cluster.plan, WORKER, NAME)
        _kubectl(cluster, "delete")


def _command() -> tuple[str, ...]:
    return (
        str(build_program(NAME) / NAME),
        f"--entrypoints.websecure.address={ADDRESS}:443",
        "--entrypoints.websecure.http.tls=true",
        "--providers.kubernetesingressnginx=true",
        f"--providers.kubernetesingressnginx.publishstatusaddress={ADDRESS}",
        "--providers.kubernetesingressnginx.httpsentrypoint=websecure",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
    )


def _listens(cluster: Cluster) -> bool:
    command = ("curl", "--silent", "--insecure", "--max-time", "5", f"https://{ADDRESS}")
    return cluster.run(WORKER.name, command, capture_output=True, check=False).returncode == 0


def _kubectl(cluster: Cluster, verb: str) -> None:
    """Apply or delete the IngressClass."""
    command = ("kubectl", "--kubeconfig", cluster.kubeconfig, verb, "--filename", "-")
    cluster.run(WORKER.name, command, input=json.dumps(INGRESS_CLASS), text=True, check=True, capture_output=True)
