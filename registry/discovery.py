"""Discovery: a ConfigMap that tells tools which registry this cluster has (KEP-1755). It holds no secret."""

import json

import pulumi
import pulumi_kubernetes as kubernetes

from .args import PrivateRegistryArgs
from .metadata import Metadata
from .validation.collisions import claim

NAMESPACE = "kube-public"
"""What everybody may read."""

NAME = "local-registry-hosting"
KEY = "localRegistryHosting.v1"


def announce(
    name: str,
    app: str,
    given: PrivateRegistryArgs,
    endpoint: pulumi.Output[str],
    metadata: Metadata,
    opts: pulumi.ResourceOptions,
) -> None:
    """Tell where the registry is reached from outside, from the nodes and from Pods, if asked to.

    A cluster has one such ConfigMap. Where it is another's, the engine says "ConfigMap (NAME): configmaps
    local-registry-hosting already exists" and leaves it alone; of that message NAME is ours and says why.
    """
    if not given["discovery"]:
        return
    claim("discovery", "the cluster's one ConfigMap of it", name)
    inside = pulumi.Output.concat(app, ".", metadata.namespace, ".svc:", str(given["port"]))
    kubernetes.core.v1.ConfigMap(
        f"{name}-discovery-of-which-a-cluster-has-one",
        metadata=metadata.of(NAME) | {"namespace": NAMESPACE},
        data={KEY: pulumi.Output.all(endpoint, inside).apply(lambda known: hosting(*known))},
        opts=opts,
    )


def hosting(endpoint: str, inside: str) -> str:
    """The document, YAML of which JSON is a part: outside and on the nodes the registry has one name."""
    return json.dumps({"host": endpoint, "hostFromContainerRuntime": endpoint, "hostFromClusterNetwork": inside})
