"""The few questions that starting a cluster asks the Kubernetes API, from inside the master's network.

An isolated cluster has no other way in, and a client library would take longer to import than the answers take.
"""

import json
import ssl
from datetime import datetime
from functools import cached_property
from http.client import HTTPException, HTTPSConnection
from typing import Any

from dev.cluster import network
from dev.cluster.node import CONTROL_PLANE
from dev.cluster.plan import MASTER, Plan

PORT = 6443
MERGE = {"Content-Type": "application/merge-patch+json"}


class Api:
    """The API server as its administrator sees it. What cannot be had, because it is not up yet, is None."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def is_ready(self) -> bool:
        return self._ask("GET", "/readyz") is not None

    def has_default_service_account(self) -> bool:
        """Pods are refused before it is there."""
        return self._ask("GET", "/api/v1/namespaces/default/serviceaccounts/default") is not None

    def ready_nodes(self, since: dict[str, float]) -> set[str]:
        """The nodes that reported Ready after the moment `since` of each: what they said before is history."""
        answer = self._ask("GET", "/api/v1/nodes")
        return {
            name
            for node in (json.loads(answer)["items"] if answer else [])
            if (name := node["metadata"]["name"]) in since and _is_ready(node, since[name])
        }

    def label_master(self) -> bool:
        """Give the master its role, which NodeRestriction does not let its kubelet claim."""
        patch = json.dumps({"metadata": {"labels": {CONTROL_PLANE: ""}}})
        return self._ask("PATCH", f"/api/v1/nodes/{MASTER.name}", patch) is not None

    def _ask(self, method: str, path: str, body: str | None = None) -> bytes | None:
        connection = HTTPSConnection(MASTER.address)
        try:
            raw = network.connect(self._plan, MASTER, PORT)
            connection.sock = self._tls.wrap_socket(raw, server_hostname=MASTER.address)
            connection.request(method, path, body, MERGE if body else {})
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()
        return content if answer.status == 200 else None

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
