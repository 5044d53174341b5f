"""Nodes that trust registries: files for their container runtimes, which a DaemonSet keeps there.

`PrivateRegistry` uses `NodeTrust` for itself. A program can also use it alone, for registries of any kind. Its agents
restart no runtime, do not talk to the API server and need no network. agent.sh describes the files, and
docs/adr/0017-node-trust.md the reasons.
"""

import hashlib
from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.core.v1 import KeyToPathArgsDict, VolumeArgsDict

from ..context import Context, create_context
from ..pods import checksum
from .args import NodeTrustArgs, TrustedRegistryArgs
from .deletion_guard import create_deletion_guard
from .files import all_files
from .pod import pod_spec
from .resolve import resolve

__all__ = ["NodeTrust", "NodeTrustArgs", "TrustedRegistryArgs"]

APP = "node-trust"
"""Name of the DaemonSet, which has a namespace of its own."""

AGENT = Path(__file__).with_name("agent.sh").read_text()
"""The script that copies the files and removes them again."""

FILES_CHECKSUM = "checksum/files"
"""Annotation of the Pods: a checksum of the files that they copy. A change of it replaces the Pods."""

TIMEOUTS = pulumi.CustomTimeouts(create="3m", update="3m")
"""Time for every node to have the files, which takes seconds. After that the engine reports a node that is down."""


class NodeTrust(pulumi.ComponentResource):
    """Trust of every node in registries. New nodes trust them too. `pulumi destroy` ends the trust of all nodes."""

    endpoints: pulumi.Output[list[str]]
    """host:port of the registries, known once every node trusts them."""

    def __init__(self, name: str, args: NodeTrustArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("private-registry:index:NodeTrust", name, {}, opts)
        settings = resolve(args)
        ctx = create_context(
            self,
            name,
            APP,
            component="node-trust",
            image=settings.image,
            namespace=settings.namespace,
            labels=settings.labels,
            annotations=settings.annotations,
        )
        ctx = ctx.in_namespace(_create_namespace(ctx, settings.namespace))
        files = pulumi.Output.all(*settings.registries).apply(all_files)
        volume = _create_files(ctx, files)
        _create_network_policy(ctx)
        guard = create_deletion_guard(ctx)
        agent = kubernetes.apps.v1.DaemonSet(
            f"{name}-agent",
            metadata=ctx.metadata(APP),
            spec={
                "selector": {"match_labels": ctx.selector},
                # The new Pod has copied its files before the old one ends, on all nodes at once.
                "update_strategy": {"rolling_update": {"max_surge": "100%", "max_unavailable": 0}},
                "template": {
                    "metadata": ctx.metadata(
                        annotations={FILES_CHECKSUM: files.apply(lambda by_path: checksum((AGENT, by_path)))},
                        cluster_scoped=True,
                    ),
                    "spec": pod_spec(settings, volume),
                },
            },
            opts=ctx.options(depends_on=guard, custom_timeouts=TIMEOUTS),
        )
        endpoints = pulumi.Output.all(*(registry["endpoint"] for registry in settings.registries))
        self.endpoints = pulumi.Output.all(endpoints, agent.id).apply(lambda resolved: list(resolved[0]))
        self.register_outputs({"endpoints": self.endpoints})


def _create_namespace(ctx: Context, name: str) -> pulumi.Output[str]:
    """Create the namespace. Pods that mount folders of the node need the lowest Pod Security level."""
    level = {"pod-security.kubernetes.io/enforce": "privileged"}
    namespace = kubernetes.core.v1.Namespace(
        f"{ctx.name}-namespace", metadata=ctx.metadata(name, labels=level, cluster_scoped=True), opts=ctx.options()
    )
    return namespace.metadata.name.apply(str)


def _create_files(ctx: Context, files: pulumi.Output[dict[str, str]]) -> VolumeArgsDict:
    """Create a ConfigMap with the files and the agent, and return a volume of it.

    Changed files create a new ConfigMap with another name, so that old and new Pods find theirs during an update.
    """
    content = files.apply(lambda by_path: {"agent.sh": AGENT} | {_key(path): by_path[path] for path in by_path})
    config_map = kubernetes.core.v1.ConfigMap(
        f"{ctx.name}-files", metadata=ctx.metadata(), immutable=True, data=content, opts=ctx.options()
    )
    return {
        "name": "wanted",
        "config_map": {"name": config_map.metadata.name, "items": files.apply(_volume_items)},
    }


def _volume_items(files: dict[str, str]) -> list[KeyToPathArgsDict]:
    key_by_path = {"agent.sh": "agent.sh"} | {path: _key(path) for path in files}
    return [{"key": key, "path": path} for path, key in key_by_path.items()]


def _key(path: str) -> str:
    """Return a key for the path. Keys of a ConfigMap have neither slashes nor colons."""
    return hashlib.sha256(path.encode()).hexdigest()[:16] + "-" + path.rpartition("/")[2]


def _create_network_policy(ctx: Context) -> None:
    """Deny every connection: the agent needs none."""
    kubernetes.networking.v1.NetworkPolicy(
        f"{ctx.name}-policy",
        metadata=ctx.metadata(APP),
        spec={"pod_selector": {}, "policy_types": ["Ingress", "Egress"]},
        opts=ctx.options(),
    )
