"""The leaf of a new CA is not signed before every node has reported that CA."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dev.cluster.plan import NODES
from tests.e2e.lab import SOAK, Lab, Project, Registry, eventually, is_ready, of_secret
from tests.e2e.test_node_trust import CONTAINERD, DOCKER
from tests.e2e.test_workload import pods, without_kubelet

pytestmark = pytest.mark.e2e

MOVED: dict[str, Any] = {
    **{"namespace": "moved", "storage_path": "/var/lib/moved", "node_trust": True},
    **{"exposure": "node-port", "node_port": 30543},
}
WORKER = NODES[1].name


GIVE_UP_SOON = """
import pulumi

def soon(args):
    if not args.type_.endswith(":DaemonSet"):
        return None
    timeouts = pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="20s", update="20s"))
    return pulumi.ResourceTransformResult(args.props, pulumi.ResourceOptions.merge(args.opts, timeouts))

pulumi.runtime.register_resource_transform(soon)
"""


@contextmanager
def giving_up_soon(project: Project) -> Iterator[None]:
    """Wait 20 s for the nodes until the block ends, not the component's 3 minutes: a soak waits for those."""
    program = project.folder / "__main__.py"
    text = program.read_text()
    program.write_text(text if SOAK else GIVE_UP_SOON + text)
    try:
        yield
    finally:
        program.write_text(text)


def trusted(lab: Lab, served: Registry) -> dict[str, set[str]]:
    """What stands below the first line of the CA files, by node."""
    files = (f"{folder}/{served.outputs['endpoint']}/ca.crt" for folder in (CONTAINERD, DOCKER))
    paths = [(node.name, lab.cluster.path(node.name, file)) for file in files for node in NODES]
    found: dict[str, set[str]] = {node.name: set() for node in NODES}
    for node, path in paths:
        found[node].add(path.read_text().partition("\n")[2])
    return found


def test_a_node_that_is_down_holds_the_rotation_up(lab: Lab, registry: Callable[..., Registry]) -> None:
    served = registry("moved", **MOVED)
    project, old = served.project, served.outputs["ca_pem"]
    assert trusted(lab, served) == {node.name: {old} for node in NODES}
    chain = of_secret(lab, "moved", "cert-secret")["tls.crt"]

    with without_kubelet(lab, WORKER):
        eventually(120, "its Pod counts as not ready", lambda: not all(map(is_ready, pods(lab, "moved-trust"))))
        project.configure(ca_generations=[1, 2], **MOVED)
        with giving_up_soon(project):
            said = project.refused("up")
        assert "node-trust" in said, "the DaemonSet that did not end up everywhere"
        project.configure(ca_generations=[2, 1], **MOVED)
        assert "`ca_generations` is [2, 1], " in project.refused(), "the step before is not completed"
        assert of_secret(lab, "moved", "cert-secret")["tls.crt"] == chain

    served = registry("moved", ca_generations=[1, 2], **MOVED)
    both = served.outputs["ca_pem"]
    assert both.startswith(old)
    assert both != old
    assert trusted(lab, served) == {node.name: {both} for node in NODES}
    assert of_secret(lab, "moved", "cert-secret")["tls.crt"] == chain

    served = registry("moved", ca_generations=[2, 1], **MOVED)
    assert trusted(lab, served) == {node.name: {both} for node in NODES}
    assert of_secret(lab, "moved", "cert-secret")["tls.crt"] != chain

    served = registry("moved", ca_generations=[2], **MOVED)
    assert trusted(lab, served) == {node.name: {both.removeprefix(old)} for node in NODES}
