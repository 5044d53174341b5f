"""DNS for Pods, which the lab has none of: names of Services, answered by a daemon of the control plane's node.

`python -m tests.e2e.dns KUBECONFIG ADDRESS` is that daemon. It asks the API server for each name that it is asked for.
"""

import json
import os
import socketserver
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

from kubernetes.client.api.core_v1_api import CoreV1Api
from kubernetes.client.exceptions import ApiException
from kubernetes.config.kube_config import new_client_from_config

from dev.cluster import Cluster, process
from dev.cluster.plan import DNS_SERVICE, MASTER
from dev.cluster.process import Daemon
from dev.environment import PROJECT, Environment

NAME = "dns"
PORT = 53
ADDRESS_RECORD, INTERNET = 1, 1
ANSWERED, UNKNOWN = 0x8580, 0x8583
"""Flags: an authoritative answer, and one that says there is no such name."""

Find = Callable[[str, str], str | None]
"""The address of a Service, by name and namespace."""


@contextmanager
def serve(cluster: Cluster, place: Environment) -> Iterator[None]:
    """Names of Services resolve in every Pod until the block ends."""
    command = (sys.executable, "-m", "tests.e2e.dns", str(cluster.kubeconfig), MASTER.address)
    server = Daemon(MASTER, NAME, command)
    process.start(cluster.plan, server, {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT)})
    place.run("kubectl", "apply", "--filename", "-", stdin=json.dumps(_service()))
    try:
        yield
    finally:
        place.run("kubectl", "delete", "--ignore-not-found", "--filename", "-", stdin=json.dumps(_service()))
        process.stop(cluster.plan, MASTER, NAME)


def _service() -> dict[str, Any]:
    """The address that every kubelet writes into its Pods, led to the daemon."""
    port = {"name": "dns", "protocol": "UDP", "port": PORT}
    metadata = {"name": "kube-dns", "namespace": "kube-system"}
    slices = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": {"kubernetes.io/service-name": metadata["name"]}},
        "addressType": "IPv4",
        "ports": [port],
        "endpoints": [{"addresses": [MASTER.address]}],
    }
    spec = {"clusterIP": DNS_SERVICE, "ports": [port]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    return {"apiVersion": "v1", "kind": "List", "items": [service, slices]}


def answer(query: bytes, find: Find) -> bytes:
    """The answer to the one question of a query (RFC 1035, section 4)."""
    labels, end = _question(query)
    kind, _ = struct.unpack_from("!HH", query, end - 4)
    address = find(labels[0], labels[1]) if labels[2:] == ["svc", "cluster", "local"] and len(labels) == 5 else None
    record = b""
    if address and kind == ADDRESS_RECORD:
        named_as_asked = 0xC00C
        record = struct.pack("!HHHIH", named_as_asked, ADDRESS_RECORD, INTERNET, 5, 4) + ip_address(address).packed
    flags = ANSWERED if address else UNKNOWN
    return query[:2] + struct.pack("!5H", flags, 1, bool(record), 0, 0) + query[12:end] + record


def _question(query: bytes) -> tuple[list[str], int]:
    """The labels of the name that is asked for, and where the question ends."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "replace").lower())
        at += 1 + query[at]
    return labels, at + 5


def _finder(kubeconfig: str) -> Find:
    api = CoreV1Api(new_client_from_config(kubeconfig))

    def find(name: str, namespace: str) -> str | None:
        try:
            spec = api.read_namespaced_service(name, namespace).spec
        except ApiException:
            return None
        return spec.cluster_ip if spec else None

    return find


def main(kubeconfig: str, address: str) -> None:
    find = _finder(kubeconfig)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, socket = self.request
            socket.sendto(answer(query, find), self.client_address)

    socketserver.UDPServer((address, PORT), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
