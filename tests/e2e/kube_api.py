"""Read objects from a lab's API server in milliseconds. `kubectl get` takes a hundred times longer to start.

Tests read the cluster with this client. They run kubectl (`Lab.kubectl`) for a command that a person would type.
"""

import json
import socket
import ssl
import threading
from functools import cached_property
from http import HTTPStatus
from http.client import HTTPException, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import urlencode

from dev.cluster import Cluster, network
from dev.cluster.plan import MASTER

PORT = 6443
"""Port of the API server on the control plane's node."""

TIMEOUT = 30.0
"""Seconds to wait for a response."""

DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
"""Media type of a discovery document that has all groups, so that one request is enough."""

Object = dict[str, Any]


class NotFound(AssertionError):
    """The API server does not have an object. A test fails with it, but `eventually` continues to wait."""


class Resource(NamedTuple):
    """A resource in the API server's discovery document."""

    path: str
    """Path of its group and version, such as `/apis/apps/v1`."""
    plural: str
    namespaced: bool


class KubeApi:
    """A client of one API server with the administrator's rights, and one connection."""

    def __init__(self, cluster: Cluster) -> None:
        self._plan = cluster.plan
        self._lock = threading.RLock()
        self._connection: HTTPSConnection | None = None
        self._resources: dict[str, Resource] = {}

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def connect(self) -> HTTPSConnection:
        """Return a new connection with the administrator's rights, which the caller closes."""
        connection = HTTPSConnection(MASTER.address)
        tcp_socket = network.connect(self._plan, MASTER, PORT, timeout=TIMEOUT)
        # Without this option, each request with headers and body takes 40 ms longer.
        tcp_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sock = self._tls.wrap_socket(tcp_socket, server_hostname=MASTER.address)
        return connection

    def get(self, kind: str, name: str, namespace: str) -> Object:
        """Return the object. Raise NotFound with the API server's message if it does not exist."""
        return self._read(f"{self._collection(kind, namespace)}/{name}")

    def exists(self, kind: str, name: str, namespace: str = "") -> bool:
        return self._request("GET", f"{self._collection(kind, namespace)}/{name}")[0] == HTTPStatus.OK

    def objects(self, kind: str, namespace: str = "", labels: str = "", fields: str = "") -> list[Object]:
        """Return the objects of `kind`, by default of all namespaces. `labels` and `fields` are selectors."""
        selectors = {"labelSelector": labels, "fieldSelector": fields}
        query = urlencode({key: value for key, value in selectors.items() if value})
        object_list = self._read(f"{self._collection(kind, namespace)}?{query}")
        # The objects in a list have neither `apiVersion` nor `kind`.
        common = {"apiVersion": object_list["apiVersion"], "kind": object_list["kind"].removesuffix("List")}
        return [common | item for item in object_list["items"]]

    def names(self, kind: str, namespace: str = "", labels: str = "") -> list[str]:
        return [item["metadata"]["name"] for item in self.objects(kind, namespace, labels)]

    def resource(self, kind: str) -> Resource:
        """Return the resource by its kind, plural, singular or short name, in upper or lower case."""
        if kind.lower() not in self._resources:
            self._resources = self._discover()
        assert kind.lower() in self._resources, f"the API server has no resource {kind!r}"
        return self._resources[kind.lower()]

    def _collection(self, kind: str, namespace: str) -> str:
        resource = self.resource(kind)
        namespace_part = f"/namespaces/{namespace}" if namespace and resource.namespaced else ""
        return f"{resource.path}{namespace_part}/{resource.plural}"

    def _read(self, path: str) -> Object:
        status, content = self._request("GET", path)
        if status != HTTPStatus.OK:
            error = NotFound if status == HTTPStatus.NOT_FOUND else AssertionError
            raise error(f"{path}: {json.loads(content).get('message', content)}")
        return dict(json.loads(content))

    def _discover(self) -> dict[str, Resource]:
        """Return the resources by all their names. If two groups have a resource of the same name, the first counts."""
        by_name: dict[str, Resource] = {}
        for root in ("/api", "/apis"):
            _, content = self._request("GET", root, {"Accept": DISCOVERY})
            for group in json.loads(content)["items"]:
                name = group["metadata"].get("name", "")
                for version in group["versions"]:
                    path = f"{root}/{name}/{version['version']}" if name else f"{root}/{version['version']}"
                    for item in version["resources"]:
                        entry = Resource(path, item["resource"], item["scope"] == "Namespaced")
                        names = (item["resource"], item["singularResource"], *item.get("shortNames", ()))
                        for spelling in (*names, item["responseKind"]["kind"]):
                            by_name.setdefault(spelling.lower(), entry)
        return by_name

    def _request(self, method: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Return status and content. Send a failed request again once: the server may have closed the connection."""
        with self._lock:
            try:
                return self._request_once(method, path, headers or {})
            except (OSError, HTTPException):
                self.close()
                return self._request_once(method, path, headers or {})

    def _request_once(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = self.connect()
        self._connection.request(method, path, headers=headers)
        response = self._connection.getresponse()
        return response.status, response.read()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self._plan.pki / "kubernetes-ca.crt"))
        context.load_cert_chain(self._plan.pki / "admin.crt", self._plan.pki / "admin.key")
        return context
