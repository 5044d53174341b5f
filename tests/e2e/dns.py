"""A DNS server for the names of Services, which the lab does not have by default. It runs on the control plane's node.

`python -m tests.e2e.dns KUBECONFIG ADDRESS` is the server. It looks up each name at the API server.
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
A_RECORD, INTERNET_CLASS = 1, 1
NO_ERROR, NAME_ERROR = 0x8580, 0x8583
"""Flags of an authoritative response to a name that exists, and to a name that does not."""

FindAddress = Callable[[str, str], str | None]
"""Function that returns the address of a Service by name and namespace, or None."""


@contextmanager
def serve(cluster: Cluster, environment: Environment) -> Iterator[None]:
    """Resolve names of Services in every Pod until the block ends."""
    command = (sys.executable, "-m", "tests.e2e.dns", str(cluster.kubeconfig), MASTER.address)
    server = Daemon(MASTER, NAME, command)
    process.start(cluster.plan, server, {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT)})
    environment.run("kubectl", "apply", "--filename", "-", stdin=json.dumps(_service_and_endpoints()))
    try:
        yield
    finally:
        environment.run(
            "kubectl", "delete", "--ignore-not-found", "--filename", "-", stdin=json.dumps(_service_and_endpoints())
        )
        process.stop(cluster.plan, MASTER, NAME)


def _service_and_endpoints() -> dict[str, Any]:
    """Return the Service with the address that kubelets write into Pods, and its endpoint, the server."""
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


def resolve(query: bytes, find_address: FindAddress) -> bytes:
    """Return the response to a query with one question (RFC 1035, section 4). Only IPv4 addresses are served."""
    labels, question_end = _question(query)
    record_type, _ = struct.unpack_from("!HH", query, question_end - 4)
    address = (
        find_address(labels[0], labels[1]) if labels[2:] == ["svc", "cluster", "local"] and len(labels) == 5 else None
    )
    record = b""
    if address and record_type == A_RECORD:
        name_of_question = 0xC00C
        record = struct.pack("!HHHIH", name_of_question, A_RECORD, INTERNET_CLASS, 5, 4) + ip_address(address).packed
    flags = NO_ERROR if address else NAME_ERROR
    return query[:2] + struct.pack("!5H", flags, 1, bool(record), 0, 0) + query[12:question_end] + record


def _question(query: bytes) -> tuple[list[str], int]:
    """Return the labels of the name in the question, and the offset of the question's end."""
    labels, offset = [], 12
    while query[offset]:
        labels.append(query[offset + 1 : offset + 1 + query[offset]].decode("ascii", "replace").lower())
        offset += 1 + query[offset]
    return labels, offset + 5


def _address_finder(kubeconfig: str) -> FindAddress:
    api = CoreV1Api(new_client_from_config(kubeconfig))

    def find_address(name: str, namespace: str) -> str | None:
        try:
            spec = api.read_namespaced_service(name, namespace).spec
        except ApiException:
            return None
        return spec.cluster_ip if spec else None

    return find_address


def main(kubeconfig: str, address: str) -> None:
    find_address = _address_finder(kubeconfig)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, socket = self.request
            socket.sendto(resolve(query, find_address), self.client_address)

    socketserver.UDPServer((address, PORT), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
