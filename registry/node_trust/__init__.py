"""Nodes that trust registries: files for their container runtimes, kept there by a DaemonSet.

Usable alone, for registries of any kind; `PrivateRegistry` uses it for itself. It restarts no runtime, asks the API
server nothing and has no network. What it writes and what it leaves alone is agent.sh's affair, why it is done this
way docs/adr/0017-node-trust.md's.
"""

import hashlib
from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.core.v1 import KeyToPathArgsDict, VolumeArgsDict

from ..metadata import Metadata
from .args import NodeTrustArgs, TrustedRegistryArgs
from .files import wanted
from .guard import keep_while_a_node_is_out_of_reach
from .pod import pod_spec
from .settings import settled

__all__ = ["NodeTrust", "NodeTrustArgs", "TrustedRegistryArgs"]

APP = "node-trust"
"""Name of the DaemonSet; its namespace is its own."""

AGENT = Path(__file__).with_name("agent.sh").read_text()

FILES = "private-registry/files"
"""Annotation of the Pods: a digest of what they put on the nodes, so that a change makes new ones."""


class NodeTrust(pulumi.ComponentResource):
    """Every node, also one that joins later, trusts the registries, and no longer does once this is destroyed."""

    endpoints: pulumi.Output[list[str]]
    """host:port of the registries, known once every node trusts them."""

    def __init__(self, name: str, args: NodeTrustArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("private-registry:index:NodeTrust", name, {}, opts)
        given = settled(args)
        child = pulumi.ResourceOptions(parent=self)
        selector = {"app.kubernetes.io/name": APP, "app.kubernetes.io/instance": given["namespace"]}
        metadata = Metadata(selector, given["labels"], given["annotations"])
        home = _namespace(f"{name}-namespace", given, metadata, child)
        metadata = metadata._replace(namespace=home.metadata.name.apply(str))
        files = pulumi.Output.all(*given["registries"]).apply(wanted)
        volume = _files(f"{name}-files", files, metadata, child)
        _isolate(f"{name}-policy", metadata, child)
        kept = keep_while_a_node_is_out_of_reach(f"{name}-guard", APP, metadata, child)
        agent = kubernetes.apps.v1.DaemonSet(
            f"{name}-agent",
            metadata=metadata.of(APP),
            spec={
                "selector": {"match_labels": selector},
                # The new Pod has put its files there before the old one goes, on all nodes at once.
                "update_strategy": {"rolling_update": {"max_surge": "100%", "max_unavailable": 0}},
                "template": {
                    "metadata": metadata.of(annotations={FILES: files.apply(_digest)}, cluster_scoped=True),
                    "spec": pod_spec(given, volume),
                },
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=kept, custom_timeouts=TIMEOUTS),
        )
        endpoints = pulumi.Output.all(*(each["endpoint"] for each in given["registries"]))
        self.endpoints = pulumi.Output.all(endpoints, agent.id).apply(lambda known: list(known[0]))
        self.register_outputs({"endpoints": self.endpoints})


TIMEOUTS = pulumi.CustomTimeouts(create="3m", update="3m")
"""For every node to have the files, which takes seconds; a node that is down is told of after that."""


def _namespace(
    name: str, given: NodeTrustArgs, metadata: Metadata, opts: pulumi.ResourceOptions
) -> kubernetes.core.v1.Namespace:
    """Of the lowest level of Pod Security, as folders of the node are mounted; everything else is `restricted`."""
    level = {"pod-security.kubernetes.io/enforce": "privileged"}
    return kubernetes.core.v1.Namespace(
        name, metadata=metadata.of(given["namespace"], labels=level, cluster_scoped=True), opts=opts
    )


def _files(
    name: str, files: pulumi.Output[dict[str, str]], metadata: Metadata, opts: pulumi.ResourceOptions
) -> VolumeArgsDict:
    """The files and the agent, as a volume. A change is another ConfigMap, so that Pods of both have what they need."""
    content = files.apply(lambda known: {"agent.sh": AGENT} | {_key(path): known[path] for path in known})
    made = kubernetes.core.v1.ConfigMap(name, metadata=metadata.of(), immutable=True, data=content, opts=opts)

    def items(paths: dict[str, str]) -> list[KeyToPathArgsDict]:
        by_path = {"agent.sh": "agent.sh"} | {path: _key(path) for path in paths}
        return [{"key": key, "path": path} for path, key in by_path.items()]

    return {"name": "wanted", "config_map": {"name": made.metadata.name, "items": files.apply(items)}}


def _key(path: str) -> str:
    """A path as a key of a ConfigMap, which takes neither slashes nor colons."""
    return hashlib.sha256(path.encode()).hexdigest()[:16] + "-" + path.rpartition("/")[2]


def _isolate(name: str, metadata: Metadata, opts: pulumi.ResourceOptions) -> None:
    """Nobody talks to it, and it talks to nobody."""
    kubernetes.networking.v1.NetworkPolicy(
        name, metadata=metadata.of(APP), spec={"pod_selector": {}, "policy_types": ["Ingress", "Egress"]}, opts=opts
    )


def _digest(files: dict[str, str]) -> str:
    return hashlib.sha256(repr((AGENT, files)).encode()).hexdigest()
