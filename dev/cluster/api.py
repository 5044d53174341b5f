"""Requests to the Kubernetes API for the start and the status of the cluster.

They are sent from the master's network namespace, because this machine cannot reach an isolated cluster. A client
library would take longer to import than the requests take.
"""

import json
import ssl
from datetime import datetime
from functools import cached_property
from http.client import HTTPException, HTTPSConnection
from typing import Any

from dev.cluster import network
from dev.cluster.node import CONTROL_PLANE_ROLE
from dev.cluster.plan import MASTER, Plan

PORT = 6443
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


class Api:
    """A client of the API server with the administrator's rights. It tolerates a server that does not answer yet."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def is_ready(self) -> bool:
        return self._request("GET", "/readyz") is not None

    def has_default_service_account(self) -> bool:
        """Return whether the default ServiceAccount exists. Pods are rejected before that."""
        return self._request("GET", "/api/v1/namespaces/default/serviceaccounts/default") is not None

    def ready_nodes(self, since: dict[str, float]) -> set[str]:
        """Return the nodes that reported Ready after their time in `since`. Earlier reports are outdated.

        The times are seconds since the epoch, by the name of the node.
        """
        answer = self._request("GET", "/api/v1/nodes")
        return {
            name
            for node in (json.loads(answer)["items"] if answer else [])
            if (name := node["metadata"]["name"]) in since and _is_ready(node, since[name])
        }

    def label_master(self) -> bool:
        """Label the master with its role, and return whether it succeeded. Its kubelet may not add this label."""
        patch = json.dumps({"metadata": {"labels": {CONTROL_PLANE_ROLE: ""}}})
        return self._request("PATCH", f"/api/v1/nodes/{MASTER.name}", patch) is not None

    def _request(self, method: str, path: str, body: str | None = None) -> bytes | None:
        """Return the body of a successful response, else None."""
        connection = HTTPSConnection(MASTER.address)
        try:
            raw = network.connect(self._plan, MASTER, PORT)
            connection.sock = self._tls.wrap_socket(raw, server_hostname=MASTER.address)
            connection.request(method, path, body, MERGE_PATCH if body else {})
            response = connection.getresponse()
            content = response.read()
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()
        return content if response.status == 200 else None

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self._plan.pki / "kubernetes-ca.crt"))
        context.load_cert_chain(self._plan.pki / "admin.crt", self._plan.pki / "admin.key")
        return context


def _is_ready(node: dict[str, Any], since: float) -> bool:
    return any(
        condition["type"] == "Ready"
        and condition["status"] == "True"
        and datetime.fromisoformat(condition["lastHeartbeatTime"]).timestamp() >= int(since)
        for condition in node.get("status", {}).get("conditions", [])
    )
