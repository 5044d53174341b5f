"""Read objects of a lab's API server in milliseconds: `kubectl get` takes that long a hundred times over to start.

What a person would type stays a command (`Lab.kubectl`). This is for the tests' own looks at the cluster.
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
TIMEOUT = 30.0
"""Seconds to wait for an answer."""

DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

Object = dict[str, Any]


class NotFound(AssertionError):
    """The API server has no such object. It fails a test, but `eventually` goes on waiting."""


class Resource(NamedTuple):
    """A kind as the API server's discovery tells it."""

    path: str
    """Path of its group and version, such as `/apis/apps/v1`."""
    plural: str
    namespaced: bool


class KubeApi:
    """The administrator's view of one API server, over one connection."""

    def __init__(self, cluster: Cluster) -> None:
        self._plan = cluster.plan
        self._lock = threading.RLock()
        self._connection: HTTPSConnection | None = None
        self._known: dict[str, Resource] = {}

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def connect(self) -> HTTPSConnection:
        """Return an open connection of the caller's own, as the administrator."""
        connection = HTTPSConnection(MASTER.address)
        raw = network.connect(self._plan, MASTER, PORT, timeout=TIMEOUT)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # headers and body go apart: 40 ms a request else
        connection.sock = self._tls.wrap_socket(raw, server_hostname=MASTER.address)
        return connection

    def get(self, kind: str, name: str, namespace: str) -> Object:
        """Return the object. Raise NotFound with the API server's message if it does not exist."""
        return self._read(f"{self._collection(kind, namespace)}/{name}")

    def exists(self, kind: str, name: str, namespace: str = "") -> bool:
        return self._request("GET", f"{self._collection(kind, namespace)}/{name}")[0] == 200

    def objects(self, kind: str, namespace: str = "", labels: str = "", fields: str = "") -> list[Object]:
        """Return the objects of `kind`, of all namespaces if none is given; `labels` and `fields` are selectors."""
        selectors = {"labelSelector": labels, "fieldSelector": fields}
        query = urlencode({key: value for key, value in selectors.items() if value})
        found = self._read(f"{self._collection(kind, namespace)}?{query}")
        # In a list the API server leaves out what is the same for all its objects.
        common = {"apiVersion": found["apiVersion"], "kind": found["kind"].removesuffix("List")}
        return [common | each for each in found["items"]]

    def names(self, kind: str, namespace: str = "", labels: str = "") -> list[str]:
        return [each["metadata"]["name"] for each in self.objects(kind, namespace, labels)]

    def resource(self, kind: str) -> Resource:
        """Return the resource that `kind` names: its kind, plural, singular or short name, in any case."""
        if kind.lower() not in self._known:
            self._known = self._discover()
        assert kind.lower() in self._known, f"the API server has no resource {kind!r}"
        return self._known[kind.lower()]

    def _collection(self, kind: str, namespace: str) -> str:
        found = self.resource(kind)
        within = f"/namespaces/{namespace}" if namespace and found.namespaced else ""
        return f"{found.path}{within}/{found.plural}"

    def _read(self, path: str) -> Object:
        status, content = self._request("GET", path)
        if status != HTTPStatus.OK:
            error = NotFound if status == HTTPStatus.NOT_FOUND else AssertionError
            raise error(f"{path}: {json.loads(content).get('message', content)}")
        return dict(json.loads(content))

    def _discover(self) -> dict[str, Resource]:
        """Return every resource by each of its names; of two groups' resources of one name the first."""
        found: dict[str, Resource] = {}
        for root in ("/api", "/apis"):
            _, content = self._request("GET", root, {"Accept": DISCOVERY})
            for group in json.loads(content)["items"]:
                name = group["metadata"].get("name", "")
                for version in group["versions"]:
                    path = f"{root}/{name}/{version['version']}" if name else f"{root}/{version['version']}"
                    for each in version["resources"]:
                        of_it = Resource(path, each["resource"], each["scope"] == "Namespaced")
                        names = (each["resource"], each["singularResource"], *each.get("shortNames", ()))
                        for spelling in (*names, each["responseKind"]["kind"]):
                            found.setdefault(spelling.lower(), of_it)
        return found

    def _request(self, method: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Return status and content. The kept connection may have ended, so a failed request is made once more."""
        with self._lock:
            try:
                return self._ask(method, path, headers or {})
            except (OSError, HTTPException):
                self.close()
                return self._ask(method, path, headers or {})

    def _ask(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = self.connect()
        self._connection.request(method, path, headers=headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self._plan.pki / "kubernetes-ca.crt"))
        context.load_cert_chain(self._plan.pki / "admin.crt", self._plan.pki / "admin.key")
        return context
