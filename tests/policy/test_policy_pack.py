"""The pack as the engine runs it: a process that answers over gRPC, asked about every registry of the component."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pulumi
import pulumi_policy.policy
import pytest
import yaml
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from google.protobuf.struct_pb2 import Struct  # type: ignore[import-untyped]
from pulumi.runtime.proto import (
    AnalyzeRequest,
    AnalyzerResource,
    AnalyzerStub,
    AnalyzeStackRequest,
    ConfigureAnalyzerRequest,
    EnforcementLevel,
    PolicyConfig,
)

import policy
from policy.resource import REGISTRY, STACK
from policy.rule import ADVISORY, DISABLED, MANDATORY
from policy.rules import RULES
from registry import PrivateRegistry
from tests import language_host
from tests.conftest import SECRET_MARK, Engine, RegisteredResource, attach, run
from tests.examples import compatible_groups, example_inputs
from tests.golden import policies
from tests.policies import UNKNOWN
from tests.registry.test_boundary import LIVE

FOLDER = Path(policy.__path__[0])
ROOT = FOLDER.parent

Violation = tuple[str, str]
"""Name of a rule, and its message without the description."""

PROTECTED = "storage-is-protected"

LEVELS = {
    ADVISORY: EnforcementLevel.ADVISORY,
    MANDATORY: EnforcementLevel.MANDATORY,
    DISABLED: EnforcementLevel.DISABLED,
}
"""Enforcement levels in requests."""


class Pack:
    """A client of the pack's process."""

    def __init__(self, stub: Any) -> None:
        self.stub = stub

    def analyze(self, resource: AnalyzerResource) -> list[Violation]:
        request = AnalyzeRequest(
            type=resource.type,
            urn=resource.urn,
            name=resource.name,
            properties=resource.properties,
            options=resource.options,
        )
        return violations(self.stub.Analyze(request))

    def analyze_stack(self, resources: Sequence[AnalyzerResource]) -> list[Violation]:
        return violations(self.stub.AnalyzeStack(AnalyzeStackRequest(resources=resources)))

    def judge(self, engine: Engine) -> list[Violation]:
        """Return the violations of all resources that a program registered, each alone and all together."""
        resources = [as_seen_by_a_policy(resource) for resource in engine.resources]
        found = [violation for resource in resources for violation in self.analyze(resource)]
        return [*found, *self.analyze_stack(resources)]

    def configure(self, name: str, level: str, **properties: Any) -> None:
        config = PolicyConfig(enforcementLevel=LEVELS[level], properties=struct(properties))
        self.stub.Configure(ConfigureAnalyzerRequest(policyConfig={name: config}))


def violations(response: Any) -> list[Violation]:
    return [(each.policyName, each.message.partition("\n")[2] or each.message) for each in response.diagnostics]


def struct(properties: dict[str, Any]) -> Struct:
    message = Struct()
    message.update(properties)
    return message


def as_seen_by_a_policy(resource: RegisteredResource) -> AnalyzerResource:
    """Return the resource with the URN of the engine, which names the types of all parents."""
    request = resource.request
    parents = request.parent.partition("::")[2].partition("::")[2].rpartition("::")[0]
    kind = request.type if parents in ("", STACK) else f"{parents}${request.type}"
    seen = AnalyzerResource(
        type=request.type,
        name=request.name,
        urn=f"urn:pulumi:test::private-registry::{kind}::{request.name}",
        properties=request.object,
    )
    seen.options.protect = request.protect
    seen.options.ignoreChanges.extend(request.ignoreChanges)
    seen.options.deleteBeforeReplace = request.deleteBeforeReplace
    seen.options.deleteBeforeReplaceDefined = request.deleteBeforeReplaceDefined
    return seen


def registered(kind: str, properties: dict[str, Any]) -> AnalyzerResource:
    urn = f"urn:pulumi:test::project::{REGISTRY}${kind}::example"
    return AnalyzerResource(type=kind, name="example", urn=urn, properties=struct(properties))


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pack]:
    """Run a copy of the folder under another name, as the language host does."""
    folder = tmp_path_factory.mktemp("pack")
    copy = shutil.copytree(FOLDER, folder / "v1", ignore=shutil.ignore_patterns(".venv", "__pycache__"))
    with language_host.running(copy) as channel:
        yield Pack(AnalyzerStub(channel))


def registry_with(keys: Sequence[str]) -> Engine:
    """Deploy a registry with the example values of some inputs."""
    inputs: dict[str, Any] = {}
    for key in keys:
        inputs |= example_inputs(key)
    attach(engine := Engine(live=LIVE))
    run(lambda: PrivateRegistry("registry", inputs))  # type: ignore[arg-type]
    return engine


@pytest.mark.parametrize("keys", [(), *compatible_groups()], ids=lambda keys: keys[0] if keys else "default")
def test_every_registry_of_the_component_passes(pack: Pack, keys: Sequence[str]) -> None:
    """Only the protection is missing, which a program sets."""
    assert [violation for violation in pack.judge(registry_with(keys)) if violation[0] != PROTECTED] == []


def test_a_protected_registry_passes_without_a_warning(pack: Pack) -> None:
    attach(engine := Engine())
    run(lambda: PrivateRegistry("registry", {}, pulumi.ResourceOptions(protect=True)))
    assert pack.judge(engine) == []


def test_the_engine_gets_each_rule_with_its_level_and_schema(pack: Pack) -> None:
    info = pack.stub.GetAnalyzerInfo(Empty())
    assert [each.name for each in info.policies] == [rule.name for rule in RULES]
    assert info.supportsConfig
    for each, rule in zip(info.policies, RULES, strict=True):
        assert each.enforcementLevel == LEVELS[rule.level]
        assert each.remediation_steps == rule.remediation
        assert {*each.configSchema.properties} == rule.config.keys()


def test_the_level_and_the_config_of_a_rule_can_be_changed(pack: Pack) -> None:
    password = registered("random:index/randomPassword:RandomPassword", {"length": 30})
    assert pack.analyze(password) == []
    pack.configure("generated-password-is-long", MANDATORY, length=40)
    try:
        assert [name for name, _ in pack.analyze(password)] == ["generated-password-is-long"]
        pack.configure("generated-password-is-long", DISABLED)
        assert pack.analyze(password) == []
    finally:
        pack.stub.Configure(ConfigureAnalyzerRequest())


def test_a_rule_sees_whether_a_value_is_secret(pack: Pack) -> None:
    """pulumi-policy removes the marks of secrets, unless the pack replaces one of its functions."""
    secret = {SECRET_MARK: pulumi_policy.deserialize.SPECIAL_SECRET_SIG, "value": {"token": "hunter2"}}
    kind = "kubernetes:core/v1:Secret"
    assert pack.analyze(registered(kind, {"stringData": secret})) == []
    assert [name for name, _ in pack.analyze(registered(kind, {"stringData": {"token": "hunter2"}}))] == [
        "secret-data-is-encrypted"
    ]
    copied = registered("kubernetes:core/v1:ConfigMap", {"data": secret})
    assert [name for name, _ in pack.analyze(copied)] == ["config-map-has-no-secret"]


def test_an_unknown_value_does_not_end_a_rule(pack: Pack) -> None:
    containers = [{"name": "a", "image": UNKNOWN}, {"name": "b", "image": "registry"}]
    found = pack.analyze(registered("kubernetes:core/v1:Pod", {"spec": {"containers": containers}}))
    (message,) = [message for name, message in found if name == "image-has-a-version"]
    assert "`b`" in message


def test_the_pack_has_the_sdk_of_the_component() -> None:
    def pins(file: Path) -> set[str]:
        return {line for line in file.read_text().splitlines() if line.startswith("pulumi==")}

    assert pins(FOLDER / "requirements.txt") == pins(ROOT / "registry/requirements.txt")
    assert "-r policy/requirements.txt" in (ROOT / "requirements-dev.txt").read_text().splitlines()


def test_the_pack_has_a_virtual_environment_of_its_own() -> None:
    project = yaml.safe_load((FOLDER / "PulumiPolicy.yaml").read_text())
    assert project["runtime"]["options"] == {"toolchain": "pip", "virtualenv": ".venv"}
    assert "/policy/.venv/" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_config_of_the_example_names_rules_that_exist() -> None:
    config = json.loads((ROOT / "examples/policy/policy.json").read_text())
    assert config.keys() <= {rule.name for rule in RULES}


def test_the_page_lists_every_rule() -> None:
    assert policies.PAGE.read_text() == policies.page(), "Run make schema."
