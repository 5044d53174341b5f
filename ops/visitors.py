"""What a visit makes on the cluster so that its nodes pull: a pull Secret, and a Pod a node. Pure."""

from typing import Any

from registry.pull_secrets import KEY, docker_config

from .stack import Outputs

LABEL = "private-registry/visit"
"""Of all that one visit makes; its value is the visit's name."""

LONGEST = 120
"""Seconds after which a Pod ends by itself."""

Object = dict[str, Any]


def secret(visit: str, outputs: Outputs) -> Object:
    """With the stack's login; its name is the visit's."""
    login = docker_config(outputs.endpoint, outputs.username, outputs.password)
    kind = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson"}
    return {**kind, "metadata": _metadata(visit, visit, outputs), "stringData": {KEY: login}}


def pod(visit: str, number: int, outputs: Outputs, node: str, reference: str) -> Object:
    """On that node whatever its taints, and within Pod Security's `restricted`. Its command need not be there."""
    container = {
        **{"name": "pull", "image": reference, "imagePullPolicy": "Always", "command": ["nothing-to-run"]},
        "resources": {key: {"cpu": "10m", "memory": "16Mi"} for key in ("requests", "limits")},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        **{"nodeName": node, "tolerations": [{"operator": "Exists"}], "restartPolicy": "Never"},
        **{"automountServiceAccountToken": False, "enableServiceLinks": False},
        "activeDeadlineSeconds": LONGEST,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "imagePullSecrets": [{"name": visit}],
        "containers": [container],
    }
    metadata = _metadata(f"{visit}-{number}", visit, outputs)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _metadata(name: str, visit: str, outputs: Outputs) -> Object:
    return {"name": name, "namespace": outputs.namespace, "labels": {LABEL: visit}}
