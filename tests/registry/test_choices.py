"""The inputs that are a choice: enums for type checkers and other languages, and plain words at run time."""

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

import pulumi
import pytest
from google.protobuf.struct_pb2 import Struct  # type: ignore[import-untyped]
from pulumi.runtime import rpc

from registry import choices
from registry.choices import CertificateKey, Exposure, Storage
from registry.exposure import EXPOSURES
from registry.inputs.table import INPUTS
from registry.plugin import Plugin
from registry.validation import InvalidInput
from registry.validation.certificates import KEY_KINDS
from registry.validation.storage import STORAGE_KINDS
from tests import golden
from tests.conftest import Engine

ENUMS: dict[str, type[StrEnum]] = {
    name: value
    for name, value in vars(choices).items()
    if isinstance(value, type) and issubclass(value, StrEnum) and value is not StrEnum
}

SCHEMA = golden.current_schema()

TYPES = {token.rpartition(":")[2]: definition for token, definition in SCHEMA["types"].items()}


def uses(schema: object, description: str = "") -> Iterator[tuple[str, str]]:
    """Yield the name of each type that the schema uses, and the description of the property."""
    if isinstance(schema, Mapping):
        description = schema.get("description", description)
        if "$ref" in schema:
            yield schema["$ref"].rpartition(":")[2], description
        for value in schema.values():
            yield from uses(value, description)


USES = list(uses({**SCHEMA["resources"], **SCHEMA["types"]}))


@pytest.mark.parametrize("name", ENUMS)
def test_the_schema_and_the_inputs_describe_every_word(name: str) -> None:
    words = [*ENUMS[name]]
    assert [each["value"] for each in TYPES[name]["enum"]] == words
    assert all(re.fullmatch(r"([A-Z][a-z]*\d*)+", each["name"]) for each in TYPES[name]["enum"])
    assert all(each["description"].endswith(".") for each in [TYPES[name], *TYPES[name]["enum"]])
    descriptions = [description for used, description in USES if used == name]
    assert descriptions
    assert all(word in description for word in words for description in descriptions)


@pytest.mark.parametrize(
    ("kinds", "enum"), [(EXPOSURES, Exposure), (STORAGE_KINDS, Storage), (KEY_KINDS, CertificateKey)]
)
def test_every_word_has_a_kind(kinds: Mapping[str, Any], enum: type[StrEnum]) -> None:
    assert [*kinds] == [*enum]


def test_a_rule_accepts_the_enum_and_the_word_and_returns_plain_text() -> None:
    accepted = [INPUTS["exposure"].rule(value) for value in (Exposure.NODE_PORT, "node-port")]
    assert accepted == ["node-port", "node-port"]
    assert {type(value) for value in accepted} == {str}
    robot = {"ci": {"repositories": ["team/*"], "rights": [choices.AccessRight.PUSH]}}
    assert INPUTS["robots"].rule(robot)["ci"]["rights"] == ["push"]


def test_no_type_has_the_suffix_that_the_generators_add() -> None:
    assert not [name for name in TYPES if name.endswith("Args")]


def test_the_schema_asks_for_every_type_in_go() -> None:
    assert SCHEMA["language"]["go"]["generateExtraInputTypes"] is True


class TestPlugin:
    """Words that a program in another language sends."""

    def construct(self, inputs: dict[str, Any]) -> None:
        wire = Struct()
        wire.update(inputs)
        plugin = Plugin()

        @pulumi.runtime.test  # type: ignore[untyped-decorator]
        def main() -> Any:
            values = rpc.deserialize_properties(wire)
            return plugin.construct("registry", "private-registry:index:PrivateRegistry", values).urn

        main()

    def test_words_arrive_alone_and_in_lists(self, engine: Engine) -> None:
        self.construct({"workload": "deployment", "robots": {"ci": {"repositories": ["team/*"], "rights": ["push"]}}})
        assert [each for each in engine.resources if each.type.endswith(":Deployment")]

    def test_a_wrong_word_is_refused_by_the_rule_of_the_input(self, engine: Engine) -> None:
        with pytest.raises(Exception, match="workload") as refusal:
            self.construct({"workload": "Pod"})
        with pytest.raises(InvalidInput) as expected:
            INPUTS["workload"].rule("Pod")
        assert str(expected.value) in str(refusal.value)
