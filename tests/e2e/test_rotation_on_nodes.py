"""Rotate the CA on nodes: a new CA issues no certificate before every node trusts that CA.

No offline test can show this, because only real nodes run the Pods of the DaemonSet, or are down.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dev.cluster.plan import NODES
from tests.e2e.lab import SOAK, Lab, Project, Registry, eventually, is_ready, read_secret
from tests.e2e.test_node_trust import CONTAINERD, DOCKER
from tests.e2e.test_workload import pods, without_kubelet

pytestmark = pytest.mark.e2e

SETTINGS: dict[str, Any] = {
    "namespace": "moved",
    "storage_path": "/var/lib/moved",
    "node_trust": True,
    "exposure": "node-port",
    "node_port": 30543,
}
WORKER = NODES[1].name

SHORT_TIMEOUTS = """
import pulumi

def shorten(args):
    if not args.type_.endswith(":DaemonSet"):
        return None
    timeouts = pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="20s", update="20s"))
    return pulumi.ResourceTransformResult(args.props, pulumi.ResourceOptions.merge(args.opts, timeouts))

pulumi.runtime.register_resource_transform(shorten)
"""
"""Lines of a program that wait 20 s for a DaemonSet, instead of the 3 minutes of the component."""


@contextmanager
def short_timeouts(project: Project) -> Iterator[None]:
    """Add SHORT_TIMEOUTS to the program until the block ends, unless this is a soak."""
    program = project.folder / "__main__.py"
    source = program.read_text()
    program.write_text(source if SOAK else SHORT_TIMEOUTS + source)
    try:
        yield
    finally:
        program.write_text(source)


def ca_bundles_on_nodes(lab: Lab, registry: Registry) -> dict[str, set[str]]:
    """Return the different CA bundles in the files on each node. The first line of a file, a comment, is left out."""
    files = (f"{folder}/{registry.outputs['endpoint']}/ca.crt" for folder in (CONTAINERD, DOCKER))
    paths = [(node.name, lab.cluster.path(node.name, file)) for file in files for node in NODES]
    bundles: dict[str, set[str]] = {node.name: set() for node in NODES}
    for node, path in paths:
        bundles[node].add(path.read_text().partition("\n")[2])
    return bundles


def test_a_node_that_is_down_stops_the_rotation(lab: Lab, deploy_registry: Callable[..., Registry]) -> None:
    registry = deploy_registry("moved", **SETTINGS)
    project, old_ca = registry.project, registry.outputs["ca_pem"]
    assert ca_bundles_on_nodes(lab, registry) == {node.name: {old_ca} for node in NODES}
    chain = read_secret(lab, "moved", "cert-secret")["tls.crt"]

    with without_kubelet(lab, WORKER):
        eventually(120, "the Pod of the node is not ready", lambda: not all(map(is_ready, pods(lab, "moved-trust"))))
        project.configure(ca_generations=[1, 2], **SETTINGS)
        with short_timeouts(project):
            output = project.expect_refusal("up")
        assert "node-trust" in output, "the message names the DaemonSet"
        project.configure(ca_generations=[2, 1], **SETTINGS)
        assert "`ca_generations` is [2, 1], " in project.expect_refusal(), "the previous step is not complete"
        assert read_secret(lab, "moved", "cert-secret")["tls.crt"] == chain

    registry = deploy_registry("moved", ca_generations=[1, 2], **SETTINGS)
    both_cas = registry.outputs["ca_pem"]
    assert both_cas.startswith(old_ca)
    assert both_cas != old_ca
    assert ca_bundles_on_nodes(lab, registry) == {node.name: {both_cas} for node in NODES}
    assert read_secret(lab, "moved", "cert-secret")["tls.crt"] == chain

    registry = deploy_registry("moved", ca_generations=[2, 1], **SETTINGS)
    assert ca_bundles_on_nodes(lab, registry) == {node.name: {both_cas} for node in NODES}
    assert read_secret(lab, "moved", "cert-secret")["tls.crt"] != chain

    registry = deploy_registry("moved", ca_generations=[2], **SETTINGS)
    assert ca_bundles_on_nodes(lab, registry) == {node.name: {both_cas.removeprefix(old_ca)} for node in NODES}
