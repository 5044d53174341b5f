"""Options of the caller's: what Pulumi users expect of them, seen in what the engine is asked for."""

from collections.abc import Iterator
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from registry import PrivateRegistry
from tests.conftest import Deploy, Engine, RegisteredResource, deploy_once


def children(engine: Engine) -> Iterator[RegisteredResource]:
    """Everything but the component itself and the caller's own resources."""
    return (each for each in engine.resources if each.name.startswith("team-"))


def objects(engine: Engine) -> Iterator[RegisteredResource]:
    return (each for each in children(engine) if each.type.startswith("kubernetes:"))


def test_every_resource_is_a_descendant_of_the_component() -> None:
    engine = deploy_once("team", {})
    for each in children(engine):
        assert "::team" in each.request.parent, f"{each.name} hangs on {each.request.parent}"
    parents = {each.request.parent.rpartition("::")[2] for each in children(engine)}
    assert parents == {"team", "team-tls", "team-auth", "team-data", "team-workload"}


def test_the_callers_provider_makes_every_object(deploy: Deploy, engine: Engine) -> None:
    def program() -> PrivateRegistry:
        cluster = kubernetes.Provider("other-cluster", kubeconfig="{}")
        return PrivateRegistry("team", {}, pulumi.ResourceOptions(providers=[cluster]))

    deploy(program)
    assert list(objects(engine))
    for each in objects(engine):
        assert "::other-cluster::" in each.request.provider, f"{each.name} goes to {each.request.provider or 'default'}"


def test_protection_covers_everything(deploy: Deploy, engine: Engine) -> None:
    deploy(lambda: PrivateRegistry("team", {}, pulumi.ResourceOptions(protect=True)))
    assert [each.name for each in engine.resources if not each.request.protect] == []


def test_without_protection_nothing_is_protected() -> None:
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
def test_what_is_meant_for_the_component_alone_does_not_leak_into_its_children(
    deploy: Deploy, engine: Engine, opts: pulumi.ResourceOptions
) -> None:
    deploy(lambda: PrivateRegistry("team", {}, opts))
    assert options(engine) == options(deploy_once("team", {}))


def options(engine: Engine) -> dict[str, tuple[Any, ...]]:
    """By the child, what it is asked for beside its inputs."""
    return {
        each.name: (
            each.request.deleteBeforeReplace,
            list(each.request.ignoreChanges),
            list(each.request.replaceOnChanges),
            str(each.request.customTimeouts),
            list(each.request.additionalSecretOutputs),
            each.request.retainOnDelete,
            each.request.version,
        )
        for each in children(engine)
    }


def test_objects_do_not_bear_the_components_name(deploy: Deploy, engine: Engine) -> None:
    """Renamed with an alias, the component changes none of them."""
    first = {each.name.removeprefix("team-"): each.inputs for each in objects(deploy_once("team", {}))}
    deploy(lambda: PrivateRegistry("team", {}, pulumi.ResourceOptions(aliases=[pulumi.Alias(name="registry")])))
    assert {each.name.removeprefix("team-"): each.inputs for each in objects(engine)} == first
    assert engine.one("PrivateRegistry").request.aliases
