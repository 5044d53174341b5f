"""Discovery: a ConfigMap that names the cluster's registry for tools (KEP-1755). It holds no secret."""

import json

import pulumi
import pulumi_kubernetes as kubernetes

from .conflicts import explain_conflict
from .context import Context

PUBLIC_NAMESPACE = "kube-public"
"""Namespace that every user may read."""

CONFIG_MAP_NAME = "local-registry-hosting"
CONFIG_MAP_KEY = "localRegistryHosting.v1"

ALREADY_ANNOUNCED = (
    "Another program has created the discovery ConfigMap, and a cluster has only one. "
    "Set `discovery` to false, or delete it with "
    f"`kubectl delete configmap {CONFIG_MAP_NAME} --namespace {PUBLIC_NAMESPACE}`."
)


def create_discovery_config_map(ctx: Context, endpoint: pulumi.Output[str], port: int) -> None:
    """Create the ConfigMap. A cluster has only one."""
    inside = pulumi.Output.concat(ctx.app, ".", ctx.namespace, ".svc:", str(port))
    kubernetes.core.v1.ConfigMap(
        f"{ctx.name}-discovery",
        metadata=ctx.metadata(CONFIG_MAP_NAME) | {"namespace": PUBLIC_NAMESPACE},
        data={CONFIG_MAP_KEY: pulumi.Output.all(endpoint, inside).apply(lambda resolved: hosting(*resolved))},
        opts=ctx.options(hooks=explain_conflict(f"{ctx.name}-discovery-conflict", lambda _: ALREADY_ANNOUNCED)),
    )


def hosting(endpoint: str, inside: str) -> str:
    """Return the document: YAML as JSON. Nodes use the same name as clients outside the cluster."""
    return json.dumps({"host": endpoint, "hostFromContainerRuntime": endpoint, "hostFromClusterNetwork": inside})
