"""Pass resource options to the component: transforms, aliases, protection and retention.

Only the real engine applies them to the children of a component.
"""

import json
from collections.abc import Callable

import pytest

from tests.e2e.lab import Lab, Project

pytestmark = pytest.mark.e2e

PROGRAM = '''
"""A registry with resource options."""

import pulumi

from registry import PrivateRegistry


def set_hostname(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    """Set a field for which the component has no input: the Pod's hostname."""
    if args.type_ != "kubernetes:core/v1:Pod":
        return None
    spec = {**args.props["spec"], "hostname": "from-a-transform"}
    return pulumi.ResourceTransformResult({**args.props, "spec": spec}, args.opts)


def retain(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult:
    """Retain all objects of the cluster after a `destroy`. Children do not inherit this option."""
    is_object = args.type_.startswith("kubernetes:") and "Patch" not in args.type_
    options = pulumi.ResourceOptions(retain_on_delete=is_object)
    return pulumi.ResourceTransformResult(args.props, pulumi.ResourceOptions.merge(args.opts, options))


registry = PrivateRegistry(
    NAME, {"namespace": "composed", "storage_path": "/var/lib/composed"}, pulumi.ResourceOptions(OPTIONS)
)
pulumi.export("endpoint", registry.endpoint)
'''


def write_program(name: str, **options: str) -> str:
    """Return PROGRAM with the name of the component and its resource options."""
    arguments = ", ".join(f"{key}={value}" for key, value in options.items())
    return PROGRAM.replace("NAME", repr(name)).replace("OPTIONS", arguments)


def test_transforms_aliases_protection_and_retention_take_effect(
    lab: Lab, create_project: Callable[[str, str], Project]
) -> None:
    """Only the real engine applies these options to the children of a component."""
    project = create_project("composed", write_program("first", transforms="[set_hostname]"))
    program = project.folder / "__main__.py"
    project.up()
    assert lab.get("pod", "docker-registry", "composed")["spec"]["hostname"] == "from-a-transform"

    program.write_text(write_program("second", transforms="[set_hostname]", aliases="[pulumi.Alias(name='first')]"))
    steps = json.loads(project.pulumi("preview", "--json"))["steps"]
    assert {step["op"] for step in steps} <= {"same", "read", "read-discard", "discard", "refresh"}, (
        "the alias renames the component"
    )

    program.write_text(write_program("first", transforms="[set_hostname]", protect="True"))
    project.up()
    refused = project.run("destroy", "--yes", "--skip-preview", check=False)
    assert refused.returncode != 0
    assert "protect" in refused.stdout + refused.stderr
    assert lab.get("pod", "docker-registry", "composed")["status"]["phase"] == "Running"

    program.write_text(write_program("first", transforms="[set_hostname, retain]", protect="False"))
    project.up()
    project.pulumi("destroy", "--yes", "--skip-preview")
    pods = lab.kubectl("get", "pods", "--namespace", "composed", "--output", "name")
    lab.delete_namespace("composed")
    lab.kubectl("delete", "lease", "--namespace", "default", "--selector", "app.kubernetes.io/instance=composed")
    assert "pod/docker-registry" in pods, "the retained Pod still runs"
