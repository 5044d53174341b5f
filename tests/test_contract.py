"""The public surface: what other programs, and other languages, may rely on."""

from pathlib import Path

from pulumi.provider.experimental.analyzer import Analyzer

import registry
from registry import PrivateRegistry, PrivateRegistryArgs
from registry.args import DEFAULTS, RULES


def test_the_package_exports_the_component_and_its_arguments() -> None:
    assert registry.__all__ == ["PrivateRegistry", "PrivateRegistryArgs"]


def test_the_component_can_be_analyzed_as_a_plugin() -> None:
    described = Analyzer("private-registry").analyze_component(PrivateRegistry)
    assert set(described.outputs) == {"endpoint", "caPem", "username", "password", "namespace"}
    assert len(described.inputs) == len(PrivateRegistryArgs.__annotations__)
    undescribed = [name for name, each in (described.inputs | described.outputs).items() if not each.description]
    assert not undescribed
    assert all(each.optional for each in described.inputs.values()), "the guide's values are the defaults"


def test_every_argument_has_a_rule_and_a_default() -> None:
    assert set(RULES) == set(PrivateRegistryArgs.__annotations__) == {*DEFAULTS, "password"}


def test_parts_never_import_each_other() -> None:
    parts = {path.stem for path in Path(registry.__path__[0]).glob("*.py")} - {"__init__", "private_registry"}
    for part in parts:
        source = Path(registry.__path__[0], f"{part}.py").read_text()
        assert not [other for other in parts if f"from .{other} " in source or f"from . import {other}" in source]
