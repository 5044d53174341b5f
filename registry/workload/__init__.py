"""The registry itself: its configuration, and the Pod or the Deployment that runs it.

A bare Pod, as in the guide (docs/adr/0001-pod-or-deployment.md): its kubelet restarts it after a crash or a reboot;
after an eviction or a drain it takes the next `pulumi up`. A Deployment comes back by itself, and a new replica is
ready before the old one goes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random
from pulumi_kubernetes.apps.v1 import DeploymentStrategyArgsDict
from pulumi_kubernetes.core.v1 import PodSpecArgsDict
from pulumi_kubernetes.meta.v1 import LabelSelectorArgsDict

from ..args import PrivateRegistryArgs
from ..metadata import Metadata
from .configuration import FILE, METRICS_PORT, PORT, UPSTREAM_CA, configuration
from .pod import Mounts, pod_spec

__all__ = ["METRICS_PORT", "PORT", "Needs", "Workload"]

SECRET_NAME = "configuration-secret"

READ_ONCE = "private-registry/read-once"
"""Annotation of the Pods: a digest of what the registry reads at its start only, so that a change makes new ones."""


class Needs(NamedTuple):
    """What other parts made for the workload: Secrets and claim by name, a node's label, parts of the configuration.

    `read_once` is what the registry reads at its start only, beside that. `after` has to be there before, though its
    changes alone do not concern the workload.
    """

    certificate: pulumi.Input[str]
    users: pulumi.Input[str]
    claim: pulumi.Input[str] | None
    driver: pulumi.Input[Mapping[str, Any]]
    node_selector: pulumi.Input[dict[str, str]] | None
    endpoint: pulumi.Input[str]
    read_once: pulumi.Input[str]
    after: Sequence[pulumi.Resource]


class Workload(pulumi.ComponentResource):
    """The configuration Secret, and what runs with it."""

    def __init__(
        self,
        name: str,
        app: str,
        given: PrivateRegistryArgs,
        needs: Needs,
        metadata: Metadata,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("private-registry:index:Workload", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        http_secret = random.RandomPassword(f"{name}-http-secret", length=43, special=False, opts=child).result
        files = {FILE: configuration(given, needs.driver, http_secret, needs.endpoint)}
        if given.get("upstream_ca") is not None:
            files[UPSTREAM_CA] = pulumi.Output.from_input(given["upstream_ca"])
        secret = kubernetes.core.v1.Secret(
            f"{name}-configuration", metadata=metadata.of(SECRET_NAME), string_data=files, opts=child
        )
        mounts = Mounts(needs.certificate, needs.users, SECRET_NAME, needs.claim)
        # Not secret, as an annotation is none: a digest tells nothing.
        digest = pulumi.Output.unsecret(pulumi.Output.all(needs.read_once, files).apply(_digest))
        opts = pulumi.ResourceOptions(parent=self, depends_on=[*needs.after, secret])
        spec = pod_spec(given, mounts, needs.node_selector)
        RUNNERS[given["workload"]](Run(name, app, given, spec, digest, metadata, opts))
        self.register_outputs({})


class Run(NamedTuple):
    """What runs as a Pod or as a Deployment: its name in the state and on the cluster, and the Pod that it is."""

    name: str
    app: str
    given: PrivateRegistryArgs
    spec: PodSpecArgsDict
    read_once: pulumi.Output[str]
    metadata: Metadata
    opts: pulumi.ResourceOptions


def _pod(run: Run) -> None:
    """One node, one claim: there is room for one, so a changed Pod goes before the next comes."""
    again = pulumi.ResourceOptions(
        delete_before_replace=True, replace_on_changes=[f'metadata.annotations["{READ_ONCE}"]']
    )
    kubernetes.core.v1.Pod(
        f"{run.name}-pod",
        metadata=run.metadata.of(run.app, annotations={READ_ONCE: run.read_once}),
        spec=run.spec,
        opts=pulumi.ResourceOptions.merge(run.opts, again),
    )


def _deployment(run: Run) -> None:
    """Replicas on different nodes where there are several; of those, a drain takes one at a time."""
    here: LabelSelectorArgsDict = {"match_labels": run.metadata.selector}
    run.spec["topology_spread_constraints"] = [
        {
            "max_skew": 1,
            "topology_key": "kubernetes.io/hostname",
            "when_unsatisfiable": "ScheduleAnyway",
            "label_selector": here,
            # Each generation for itself: spread against those that go, the new ones might all come to one node.
            "match_label_keys": ["pod-template-hash"],
        }
    ]
    kubernetes.apps.v1.Deployment(
        f"{run.name}-deployment",
        metadata=run.metadata.of(run.app),
        spec={
            "replicas": run.given["replicas"],
            "selector": here,
            "strategy": _strategy(run.given),
            "template": {
                "metadata": run.metadata.of(annotations={READ_ONCE: run.read_once}, cluster_scoped=True),
                "spec": run.spec,
            },
        },
        opts=run.opts,
    )
    if run.given["replicas"] > 1:
        kubernetes.policy.v1.PodDisruptionBudget(
            f"{run.name}-budget",
            metadata=run.metadata.of(run.app),
            spec={"max_unavailable": 1, "selector": here},
            opts=run.opts,
        )


RUNNERS = {"pod": _pod, "deployment": _deployment}


def _strategy(given: PrivateRegistryArgs) -> DeploymentStrategyArgsDict:
    """One more at a time, before an old one goes: on one node, or on storage that several nodes share.

    Elsewhere the new one might land on a node where the claim cannot be mounted, and both would wait for ever.
    """
    shared = given["storage"] in ("host-path", "local", "s3") or given["storage_access"] == "ReadWriteMany"
    if not shared and given["replicas"] == 1:
        return {"type": "Recreate"}
    return {"type": "RollingUpdate", "rolling_update": {"max_surge": 1, "max_unavailable": 0}}


def _digest(read_once: list[object]) -> str:
    """A fingerprint for the state, where the configuration itself would be one more secret."""
    return hashlib.sha256(repr(read_once).encode()).hexdigest()
