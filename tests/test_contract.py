"""The public surface: what other programs, and other languages, may rely on."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
from pulumi.provider.experimental.analyzer import Analyzer
from pulumi.runtime.proto import GetSchemaRequest, ResourceProviderStub

import registry
from registry import PrivateRegistry, PrivateRegistryArgs
from registry.settings import DEFAULTS, RULES
from registry.validation.contradictions import BELONGS, NEEDS
from tests import golden


def test_the_package_exports_the_components_and_their_arguments() -> None:
    components = ["NodeTrust", "NodeTrustArgs", "PrivateRegistry", "PrivateRegistryArgs", "TrustedRegistryArgs"]
    assert registry.__all__ == components


def test_the_component_can_be_analyzed_as_a_plugin() -> None:
    described = Analyzer("private-registry").analyze_component(PrivateRegistry)
    told = {"endpoint", "caPem", "username", "password", "passwords", "namespace", "addresses"}
    assert set(described.outputs) == told
    assert len(described.inputs) == len(PrivateRegistryArgs.__annotations__)
    undescribed = [name for name, each in (described.inputs | described.outputs).items() if not each.description]
    assert not undescribed
    assert all(each.optional for each in described.inputs.values()), "the guide's values are the defaults"


def test_every_argument_has_a_rule_and_says_its_default() -> None:
    assert list(RULES) == list(PrivateRegistryArgs.__annotations__), "one order everywhere"
    described = Analyzer("private-registry").analyze_component(PrivateRegistry).inputs
    for key, property in zip(PrivateRegistryArgs.__annotations__, described.values(), strict=True):
        says = re.search(r"(?:Default:?|No default) ?(.*?)\.$", str(property.description))
        assert says, f"{key} says its default, or that it has none"
        if key in DEFAULTS:
            assert says[1].removeprefix("the node's ") in (*_spoken(DEFAULTS[key]), "every network"), key  # type: ignore[literal-required]


def _spoken(default: object) -> tuple[str, ...]:
    """How a docstring says it."""
    if isinstance(default, bool):
        return (str(default).lower(),)
    if isinstance(default, dict):
        return (", ".join(f"{key} {value}" for key, value in default.items()) or "none",)
    if isinstance(default, list):
        return (", ".join(map(str, default)) or "none",)
    return (str(default),)


def test_every_choice_of_another_key_is_one_that_its_rule_knows() -> None:
    choices = [choice for each in BELONGS.values() for choice in each] + list(NEEDS)
    for choice in choices:
        for value in choice.values:
            RULES[choice.key](value)


def test_the_schema_is_the_one_that_is_written_down() -> None:
    was, now = properties(json.loads(golden.SCHEMA.read_text())), properties(golden.current())
    removed = sorted(was.keys() - now.keys())
    assert not removed, f"programs that name them break: {removed}. If they may: make schema"
    changed = sorted(path for path in now if now[path] != was.get(path))
    assert not changed, f"new or changed: {changed}. Take them in: make schema"
    assert golden.current() == json.loads(golden.SCHEMA.read_text()), "make schema"


def test_the_schema_offers_two_resources_of_which_everything_is_described() -> None:
    schema = golden.current()
    assert sorted(schema["resources"]) == ["private-registry:index:NodeTrust", "private-registry:index:PrivateRegistry"]
    assert not [path for path, each in properties(schema).items() if not each.get("description")]


def test_the_folder_is_a_plugin_under_any_name(tmp_path: Path) -> None:
    """As the engine runs it from its cache; `python FOLDER ENGINE` is what the language host types."""
    cached = Path(shutil.copytree(registry.__path__[0], tmp_path / "v1", ignore=shutil.ignore_patterns(".venv")))
    command = [sys.executable, str(cached), "127.0.0.1:1"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as plugin:
        try:
            assert plugin.stdout
            with grpc.insecure_channel(f"127.0.0.1:{plugin.stdout.readline().strip()}") as channel:
                answered = ResourceProviderStub(channel).GetSchema(GetSchemaRequest(), timeout=10)
        finally:
            plugin.kill()
    assert json.loads(answered.schema) == golden.current()


def properties(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every property of the schema, by a path that names where it is."""
    return {
        f"{name}.{side}.{key}": each
        for name, kind in {**schema["resources"], **schema.get("types", {})}.items()
        for side in ("inputProperties", "properties")
        for key, each in kind.get(side, {}).items()
    }


def test_parts_never_import_each_other() -> None:
    """`private_registry.py` hands outputs between them; what all share are the arguments, metadata and rules."""
    root = Path(registry.__path__[0])
    shared = {"__init__", "__main__", "args", "metadata", "settings", "config", "private_registry"}
    parts = {path.stem for path in root.glob("*.py")} - shared | {"storage", "workload", "node_trust"}
    for part in parts:
        for source in [*root.glob(f"{part}.py"), *root.glob(f"{part}/*.py")]:
            dots = "." * (len(source.relative_to(root).parts))
            imports = re.findall(rf"^from {re.escape(dots)}(\w+)", source.read_text(), re.MULTILINE)
            assert not (set(imports) & parts) - {part}, f"{source.name} imports another part"
