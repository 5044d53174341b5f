"""Discovery: a ConfigMap that tells tools which registry this cluster has (KEP-1755). It holds no secret."""

import json

import pulumi
import pulumi_kubernetes as kubernetes

from .context import Context

PUBLIC_NAMESPACE = "kube-public"
"""Namespace that every user may read."""

CONFIG_MAP_NAME = "local-registry-hosting"
CONFIG_MAP_KEY = "localRegistryHosting.v1"


def create_discovery_config_map(ctx: Context, endpoint: pulumi.Output[str], port: int) -> None:
    """Create the ConfigMap, of which a cluster has one.

    If another registry has created it, the engine says "ConfigMap (NAME): configmaps local-registry-hosting already
    exists". NAME says why.
    """
    inside = pulumi.Output.concat(ctx.app, ".", ctx.namespace, ".svc:", str(port))
    kubernetes.core.v1.ConfigMap(
        f"{ctx.name}-discovery-of-which-a-cluster-has-one",
        metadata=ctx.metadata(CONFIG_MAP_NAME) | {"namespace": PUBLIC_NAMESPACE},
        data={CONFIG_MAP_KEY: pulumi.Output.all(endpoint, inside).apply(lambda resolved: hosting(*resolved))},
        opts=ctx.options(),
    )


def hosting(endpoint: str, inside: str) -> str:
    """Return the document: YAML as JSON. Nodes use the same name as clients outside the cluster."""
    return json.dumps({"host": endpoint, "hostFromContainerRuntime": endpoint, "hostFromClusterNetwork": inside})
