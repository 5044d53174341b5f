"""Lookups: objects that exist and that the component does not own.

A resource that is read (`Node.get`) fails inside the engine if the object is missing. The engine then ends the program,
after seconds and without a remedy. So one request looks up all objects: a chart that renders the results of Helm's
function `lookup`, and deploys nothing. The provider renders it, with its own access to the cluster. Only the data of
Secrets is read after that, because the engine encrypts resources that it reads (docs/adr/0021-lookups.md).
"""

import atexit
import json
import sys
from asyncio import ensure_future
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, NamedTuple

import pulumi
from pulumi_kubernetes.helm.v4 import Chart

from .context import Context
from .failed_lookup import wait_for_lookups

CHART = Path(__file__).with_name("lookup_chart")
"""The chart. It renders one document with all objects."""

COPY = """\
import os, sys
with os.fdopen(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
    file.write(sys.stdin.buffer.read())
print("# nothing to deploy")
"""
"""Python program that writes its input to a file. As the post-renderer of the chart, it leaves nothing to deploy."""

Object = Mapping[str, Any]


class Reference(NamedTuple):
    """A reference to an object. Without a name, it is a reference to the list of all objects of its kind."""

    api_version: str
    kind: str
    name: pulumi.Input[str] = ""
    namespace: str = ""


@dataclass(frozen=True)  # not a dictionary, of which the SDK would make an Output for each leaf
class Objects:
    """The objects that were looked up."""

    by_position: Mapping[int, Object]

    def get(self, position: int) -> Object | None:
        """Return the object of the reference at this position, {} if it does not exist, or None if it is not known.

        Names that are unknown until deployment are not looked up. Neither is anything under Pulumi mocks.
        """
        return self.by_position.get(position)


@dataclass(frozen=True)
class FoundObjects:
    """The objects that other parts read. An object that is not known is None, as in `Objects.get`.

    Attributes:
        node: The node of the images or of the exposure.
        nodes: All nodes, with name, labels, taints and nothing else, if a selector asks for them.
        namespace: The registry's namespace, if it exists already.
        claim: The claim that `storage_claim` names, with its StorageClass while it is pending.
        claims: All claims in the registry's namespace. With a selector for nodes, each claim has its volume.
        gateway: The Gateway that clients connect to.
        storage_class: The name of the cluster's default StorageClass, if the images are to be in a volume of it.
        accounts: The default ServiceAccounts that are to use a pull Secret, by namespace.
    """

    node: Object | None = None
    nodes: Sequence[Object] | None = None
    namespace: Object | None = None
    claim: Object | None = None
    claims: Sequence[Object] | None = None
    gateway: Object | None = None
    storage_class: str | None = None
    accounts: Mapping[str, Object | None] = field(default_factory=dict)


def lookup_name(prefix: str, kubectl_resource: str) -> str:
    """Return the resource name of a lookup, such as `registry-node-from-kubectl-get-nodes`."""
    return f"{prefix}-from-kubectl-get-{kubectl_resource}"


def look_up_objects(
    ctx: Context, references: Sequence[Reference], *, has_volumes: bool
) -> tuple[pulumi.Resource, pulumi.Output[Objects]]:
    """Look up the objects at preview and at deployment. Return the resource that asks for them, and the objects.

    `has_volumes` means that each claim is returned with its volume, which needs one more right.
    """
    rendered = Path(mkdtemp(prefix="registry-lookups-"), "objects.yaml")
    # `_read` removes the file. A program that ends before that, because an input is refused, removes it here.
    atexit.register(rmtree, rendered.parent, ignore_errors=True)
    names = known_values([reference.name for reference in references])
    chart = Chart(
        f"{ctx.name}-lookups",
        chart=str(CHART),
        name="lookups",
        namespace="default",
        values={"references": names.apply(lambda known: _chart_values(references, known)), "volumes": has_volumes},
        post_renderer={"command": sys.executable, "args": ["-I", "-S", "-c", COPY, str(rendered)]},
        opts=ctx.options(),
    )
    file: pulumi.Output[Path] = pulumi.Output.from_input(ensure_future(_file_of(chart, rendered)))
    # The chart's own error must not come before that of `wait_for_lookups`, so its outputs are used after that.
    return chart, file.apply(lambda path: chart.urn.apply(lambda _: _read(path)))


async def _file_of(chart: pulumi.Resource, rendered: Path) -> Path:
    await wait_for_lookups(chart)
    return rendered


def known_values(values: Sequence[pulumi.Input[Any]]) -> pulumi.Output[list[Any]]:
    """Return the values that are known, and None for those that are unknown until deployment.

    At preview, an unknown value would make everything unknown that waits for the lookups.
    """

    async def wait() -> list[Any]:
        return [await pulumi.Output.from_input(value).future() for value in values]

    return pulumi.Output.from_input(ensure_future(wait()))


def _chart_values(references: Sequence[Reference], names: Sequence[str | None]) -> list[dict[str, Any]]:
    """Return the references with a known name, as values of the chart."""
    return [
        {
            "position": position,
            "apiVersion": reference.api_version,
            "kind": reference.kind,
            "namespace": reference.namespace,
            "name": name,
        }
        for position, (reference, name) in enumerate(zip(references, names, strict=True))
        if name is not None
    ]


def _read(rendered: Path) -> Objects:
    """Return the objects of the rendered chart. Under the mocks of a user's own tests the file is missing."""
    if not rendered.exists():
        return Objects({})
    text = rendered.read_text()
    rmtree(rendered.parent)
    items = json.loads(text[text.index("{") :])["objects"]
    return Objects({int(item["position"]): item["object"] for item in items})
