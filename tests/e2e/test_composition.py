"""Options of the caller's on the real engine: transforms, aliases, protection, and what a destroy leaves."""

import json
from collections.abc import Callable

import pytest

from tests.e2e.lab import Lab, Project

pytestmark = pytest.mark.e2e

PROGRAM = '''
"""A registry with options of the caller's."""

import pulumi

from registry import PrivateRegistry


def mark(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    """What no input offers: here a hostname for the Pod."""
    if args.type_ != "kubernetes:core/v1:Pod":
        return None
    spec = {**args.props["spec"], "hostname": "of-a-transform"}
    return pulumi.ResourceTransformResult({**args.props, "spec": spec}, args.opts)


def keep(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult:
    """As for every option that children do not inherit."""
    kept = pulumi.ResourceOptions(retain_on_delete=args.type_.startswith("kubernetes:") and "Patch" not in args.type_)
    return pulumi.ResourceTransformResult(args.props, pulumi.ResourceOptions.merge(args.opts, kept))


registry = PrivateRegistry(
    NAME, {"namespace": "composed", "storage_path": "/var/lib/composed"}, pulumi.ResourceOptions(OPTIONS)
)
pulumi.export("endpoint", registry.endpoint)
'''


def written(name: str, **options: str) -> str:
    given = ", ".join(f"{key}={value}" for key, value in options.items())
    return PROGRAM.replace("NAME", repr(name)).replace("OPTIONS", given)


def test_the_callers_options_do_what_pulumi_users_expect(lab: Lab, project: Callable[[str, str], Project]) -> None:
    composed = project("composed", written("first", transforms="[mark]"))
    program = composed.folder / "__main__.py"
    composed.up()
    assert lab.get("pod", "docker-registry", "composed")["spec"]["hostname"] == "of-a-transform"

    program.write_text(written("second", transforms="[mark]", aliases="[pulumi.Alias(name='first')]"))
    steps = json.loads(composed.pulumi("preview", "--json"))["steps"]
    assert {step["op"] for step in steps} <= {"same", "read", "read-discard", "discard", "refresh"}, (
        "a rename is a rename"
    )

    program.write_text(written("first", transforms="[mark]", protect="True"))
    composed.up()
    refused = composed.run("destroy", "--yes", "--skip-preview", check=False)
    assert refused.returncode != 0
    assert "protect" in refused.stdout + refused.stderr
    assert lab.get("pod", "docker-registry", "composed")["status"]["phase"] == "Running"

    program.write_text(written("first", transforms="[mark, keep]", protect="False"))
    composed.up()
    composed.pulumi("destroy", "--yes", "--skip-preview")
    left = lab.kubectl("get", "pods", "--namespace", "composed", "--output", "name")
    lab.kubectl("delete", "namespace", "composed")
    lab.kubectl("delete", "lease", "--namespace", "default", "--selector", "app.kubernetes.io/instance=composed")
    assert "pod/docker-registry" in left, "what is retained is left, running"
