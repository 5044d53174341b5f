"""Manifests for pulling the test image on nodes: a pull Secret, and a Pod for each node."""

from registry.pull_secrets import DATA_KEY, docker_config

from ..kubernetes import Object
from ..stack import Outputs

LABEL = "private-registry/pull-session"
"""Label of all objects of one session. Its value is the session's name."""

POD_DEADLINE = 120
"""Seconds until Kubernetes ends the Pod of a session that was killed."""


def build_pull_secret(session: str, outputs: Outputs) -> Object:
    """Build the pull Secret with the stack's login. It has the session's name."""
    login = docker_config(outputs.endpoint, outputs.username, outputs.password)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": _metadata(session, session, outputs),
        "stringData": {DATA_KEY: login},
    }


def build_pod(session: str, number: int, outputs: Outputs, node: str, reference: str) -> Object:
    """Build a Pod that runs on `node` despite its taints, within Pod Security's level `restricted`.

    The command need not exist: the kubelet pulls the image first.
    """
    container = {
        "name": "pull",
        "image": reference,
        "imagePullPolicy": "Always",
        "command": ["nothing-to-run"],
        "resources": {key: {"cpu": "10m", "memory": "16Mi"} for key in ("requests", "limits")},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "nodeName": node,
        "tolerations": [{"operator": "Exists"}],
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "activeDeadlineSeconds": POD_DEADLINE,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "imagePullSecrets": [{"name": session}],
        "containers": [container],
    }
    metadata = _metadata(f"{session}-{number}", session, outputs)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _metadata(name: str, session: str, outputs: Outputs) -> Object:
    return {"name": name, "namespace": outputs.namespace, "labels": {LABEL: session}}
