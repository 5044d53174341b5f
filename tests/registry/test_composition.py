"""Resource options of the caller have the effects that Pulumi users expect."""

from collections.abc import Iterator
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from registry import PrivateRegistry
from tests.conftest import Deploy, Engine, RegisteredResource, deploy_once


def children(engine: Engine) -> Iterator[RegisteredResource]:
    """Yield the resources of the component, without the component itself and the resources of the caller."""
    return (each for each in engine.resources if each.name.startswith("team-"))


def objects(engine: Engine) -> Iterator[RegisteredResource]:
    """Yield the Kubernetes objects, without the chart of the lookups."""
    resources = (each for each in children(engine) if each.type.startswith("kubernetes:"))
    return (each for each in resources if not each.type.endswith(":Chart"))


def test_every_resource_is_a_descendant_of_the_component() -> None:
    engine = deploy_once("team", {})
    for child in children(engine):
        assert "::team" in child.request.parent, f"{child.name} has the parent {child.request.parent}."
    parents = {each.request.parent.rpartition("::")[2] for each in children(engine)}
    assert parents == {"team", "team-tls", "team-auth", "team-data", "team-workload"}


def test_the_provider_of_the_caller_creates_every_object(deploy: Deploy, engine: Engine) -> None:
    def program() -> PrivateRegistry:
        cluster = kubernetes.Provider("other-cluster", kubeconfig="{}")
        return PrivateRegistry("team", {}, pulumi.ResourceOptions(providers=[cluster]))

    deploy(program)
    assert list(objects(engine))
    for created in objects(engine):
        provider = created.request.provider
        assert "::other-cluster::" in provider, f"{created.name} has the provider {provider or 'default'}."


def test_a_protected_component_protects_every_resource(deploy: Deploy, engine: Engine) -> None:
    deploy(lambda: PrivateRegistry("team", {}, pulumi.ResourceOptions(protect=True)))
    assert [each.name for each in engine.resources if not each.request.protect] == []


def test_an_unprotected_component_protects_no_resource() -> None:
    assert [each.name for each in deploy_once("team", {}).resources if each.request.protect] == []


@pytest.mark.parametrize(
    "opts",
    [
        pulumi.ResourceOptions(delete_before_replace=True),
        pulumi.ResourceOptions(ignore_changes=["spec"]),
        pulumi.ResourceOptions(replace_on_changes=["spec"]),
        pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="1m")),
        pulumi.ResourceOptions(additional_secret_outputs=["metadata"]),
        pulumi.ResourceOptions(version="1.2.3"),
    ],
    ids=["delete_before_replace", "ignore_changes", "replace_on_changes", "timeouts", "secret_outputs", "version"],
)
def test_options_for_the_component_alone_do_not_reach_its_children(
    deploy: Deploy, engine: Engine, opts: pulumi.ResourceOptions
) -> None:
    deploy(lambda: PrivateRegistry("team", {}, opts))
    assert options(engine) == options(deploy_once("team", {}))


def options(engine: Engine) -> dict[str, tuple[Any, ...]]:
    """Return the options of each child by its name."""
    return {
        child.name: (
            child.request.deleteBeforeReplace,
            list(child.request.ignoreChanges),
            list(child.request.replaceOnChanges),
            str(child.request.customTimeouts),
            list(child.request.additionalSecretOutputs),
            child.request.retainOnDelete,
            child.request.version,
        )
        for child in children(engine)
    }


def test_objects_do_not_depend_on_the_name_of_the_component(deploy: Deploy, engine: Engine) -> None:
    """A component that is renamed with an alias does not change them."""
    objects_of_team = {each.name.removeprefix("team-"): each.inputs for each in objects(deploy_once("team", {}))}
    deploy(lambda: PrivateRegistry("team", {}, pulumi.ResourceOptions(aliases=[pulumi.Alias(name="registry")])))
    assert {each.name.removeprefix("team-"): each.inputs for each in objects(engine)} == objects_of_team
    assert engine.one("PrivateRegistry").request.aliases
