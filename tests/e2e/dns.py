"""Run a DNS server for the names of Services and of hosts, because a lab has no DNS server by default.

The server is `python -m tests.e2e.dns KUBECONFIG ADDRESS HOSTS`, with addresses by name as JSON. It runs on the control
plane's node, and asks the API server for the names of Services.
"""

import json
import os
import socketserver
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
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
HEADER_BYTES = 12
A_RECORD, INTERNET_CLASS = 1, 1
POINTER_TO_NAME = 0xC000 | HEADER_BYTES
"""Compressed form of the name in the question, which follows the header (RFC 1035, section 4.1.4)."""

LIFETIME_SECONDS = 5
"""Seconds during which a client may use a response again."""

NO_ERROR, NAME_ERROR = 0x8580, 0x8583
"""Flags of an authoritative response for an existing name, and for an unknown name."""

FindAddress = Callable[[list[str]], str | None]
"""Function that returns the address of a name, given as its labels, or None."""


@contextmanager
def serve(cluster: Cluster, environment: Environment, hosts: Mapping[str, str] | None = None) -> Iterator[None]:
    """Resolve names of Services, and `hosts`, which are addresses by name, in every Pod until the block ends."""
    known = json.dumps(hosts or {})
    command = (sys.executable, "-m", "tests.e2e.dns", str(cluster.kubeconfig), MASTER.address, known)
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
    """Return the Service whose address kubelets write into resolv.conf, and the slice with its only endpoint."""
    port = {"name": "dns", "protocol": "UDP", "port": PORT}
    metadata = {"name": "kube-dns", "namespace": "kube-system"}
    endpoint_slice = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": {"kubernetes.io/service-name": metadata["name"]}},
        "addressType": "IPv4",
        "ports": [port],
        "endpoints": [{"addresses": [MASTER.address]}],
    }
    spec = {"clusterIP": DNS_SERVICE, "ports": [port]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    return {"apiVersion": "v1", "kind": "List", "items": [service, endpoint_slice]}


def resolve(query: bytes, find_address: FindAddress) -> bytes:
    """Return the response to a query with one question (RFC 1035, section 4). It has an IPv4 address or none."""
    labels, question_end = _question(query)
    record_type, _ = struct.unpack_from("!HH", query, question_end - 4)
    address = find_address(labels)
    record = b""
    if address and record_type == A_RECORD:
        data = ip_address(address).packed
        record = struct.pack("!HHHIH", POINTER_TO_NAME, A_RECORD, INTERNET_CLASS, LIFETIME_SECONDS, len(data)) + data
    flags = NO_ERROR if address else NAME_ERROR
    return query[:2] + struct.pack("!5H", flags, 1, bool(record), 0, 0) + query[HEADER_BYTES:question_end] + record


def _question(query: bytes) -> tuple[list[str], int]:
    """Return the labels of the name in the question, and the offset of the question's end."""
    labels, offset = [], HEADER_BYTES
    while query[offset]:
        labels.append(query[offset + 1 : offset + 1 + query[offset]].decode("ascii", "replace").lower())
        offset += 1 + query[offset]
    return labels, offset + 5  # the end of the name, the type and the class


def _address_finder(kubeconfig: str, hosts: Mapping[str, str]) -> FindAddress:
    """Return a function that knows `hosts` and names such as SERVICE.NAMESPACE.svc.cluster.local."""
    api = CoreV1Api(new_client_from_config(kubeconfig))

    def find_address(labels: list[str]) -> str | None:
        if len(labels) != 5 or labels[2:] != ["svc", "cluster", "local"]:
            return hosts.get(".".join(labels))
        try:
            spec = api.read_namespaced_service(labels[0], labels[1]).spec
        except ApiException:
            return None
        return spec.cluster_ip if spec else None

    return find_address


def main(kubeconfig: str, address: str, hosts: str) -> None:
    """Serve at the address until the process ends."""
    find_address = _address_finder(kubeconfig, json.loads(hosts))

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, socket = self.request
            socket.sendto(resolve(query, find_address), self.client_address)

    socketserver.UDPServer((address, PORT), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
