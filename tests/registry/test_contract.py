"""The public interface for other programs and languages, and the layers of the package."""

import ast
import importlib
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.provider.experimental.analyzer import Analyzer
from pulumi.runtime.proto import GetSchemaRequest, ResourceProviderStub

import registry
from registry import PrivateRegistry, PrivateRegistryArgs
from registry.inputs.table import DEFAULTS, INPUTS
from tests import golden, language_host
from tests.golden import project, reference


def test_the_package_exports_the_components_and_their_arguments() -> None:
    assert registry.__all__ == [
        "AccessRight",
        "CertificateKey",
        "Exposure",
        "ImagePullPolicy",
        "InvalidInput",
        "IpFamily",
        "IpFamilyPolicy",
        "IssuerKind",
        "LogFormat",
        "LogLevel",
        "Mode",
        "NodeTrust",
        "NodeTrustArgs",
        "PrivateRegistry",
        "PrivateRegistryArgs",
        "S3StorageClass",
        "Storage",
        "StorageAccess",
        "TrustedRegistryArgs",
        "Workload",
        "__version__",
        "redact_debug_log",
    ]


def test_the_import_of_the_package_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "registry"]:
        monkeypatch.delitem(sys.modules, name)
    debug = object()
    monkeypatch.setattr(pulumi.log, "debug", debug)
    assert importlib.import_module("registry") is not registry
    assert pulumi.log.debug is debug


def test_the_component_can_be_analyzed_as_a_plugin() -> None:
    description = Analyzer("private-registry").analyze_component(PrivateRegistry)
    outputs = {"endpoint", "caPem", "username", "password", "passwords", "namespace", "addresses", "nextSteps"}
    assert set(description.outputs) == outputs
    assert len(description.inputs) == len(PrivateRegistryArgs.__annotations__)
    undescribed = [name for name, each in (description.inputs | description.outputs).items() if not each.description]
    assert not undescribed
    assert all(each.optional for each in description.inputs.values()), "Every input has a default or may be absent."


def test_every_argument_has_a_rule_and_documents_its_default() -> None:
    assert list(INPUTS) == list(PrivateRegistryArgs.__annotations__), "The order is the same."
    inputs = Analyzer("private-registry").analyze_component(PrivateRegistry).inputs
    for key, property in zip(PrivateRegistryArgs.__annotations__, inputs.values(), strict=True):
        default = re.search(r"(?:Default:?|No default) ?(.*?)\.$", str(property.description))
        assert default, f"{key} documents no default."
        if key in DEFAULTS:
            assert default[1].removeprefix("the node's ") in (*_documented_forms(DEFAULTS[key]), "every network"), key


def _documented_forms(default: object) -> tuple[str, ...]:
    """Return the forms of a default in a docstring."""
    if isinstance(default, bool):
        return (str(default).lower(),)
    if isinstance(default, dict):
        return (", ".join(f"{key} {value}" for key, value in default.items()) or "none",)
    if isinstance(default, list):
        return (", ".join(map(str, default)) or "none",)
    return (str(default),)


def test_every_condition_has_values_that_the_other_input_accepts() -> None:
    for row in INPUTS.values():
        for condition in row.only_with:
            for value in condition.values:
                INPUTS[condition.key].rule(value)


def test_the_schema_is_up_to_date() -> None:
    saved, current = properties(json.loads(golden.SCHEMA.read_text())), properties(golden.current_schema())
    removed = sorted(saved.keys() - current.keys())
    assert not removed, f"Programs that use these properties would break: {removed}. To accept it, run make schema."
    changed = sorted(path for path in current if current[path] != saved.get(path))
    assert not changed, f"New or changed properties: {changed}. To accept them, run make schema."
    assert golden.current_schema() == json.loads(golden.SCHEMA.read_text()), "Run make schema."


def test_the_schema_describes_every_property_of_two_resources() -> None:
    schema = golden.current_schema()
    assert sorted(schema["resources"]) == ["private-registry:index:NodeTrust", "private-registry:index:PrivateRegistry"]
    assert not [path for path, each in properties(schema).items() if not each.get("description")]


def test_the_schema_marks_every_secret_input() -> None:
    """Outputs need no mark, and Java's SDK does not compile with one (docs/adr/0029-sdks.md)."""
    resource = golden.current_schema()["resources"]["private-registry:index:PrivateRegistry"]
    secrets = {key for key, each in resource["inputProperties"].items() if each.get("secret")}
    assert secrets == {"backupPassword", "caKey", "mirrorPassword", "outboundProxy", "passwords", "s3SecretKey"}
    assert not [key for key, each in resource["properties"].items() if each.get("secret")]


@pytest.mark.parametrize(
    ("language", "inputs", "outputs"),
    [
        ("typescript", r"^    (\w+): ", r"\bconst \{ (.*) \}"),
        ("go", r"^\t\t\t(\w+): ", r"\bregistry\.(\w+)\)"),
        ("yaml", r"^      (\w+): ", r"\$\{team\.(\w+)\}"),
    ],
)
def test_the_samples_of_each_language_use_names_of_the_schema(language: str, inputs: str, outputs: str) -> None:
    """An end-to-end test runs the sample in Python."""
    page = (Path(__file__).parents[2] / "docs/_index.md").read_text()
    (sample,) = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    resource = golden.current_schema()["resources"]["private-registry:index:PrivateRegistry"]
    for pattern, properties in ((inputs, "inputProperties"), (outputs, "properties")):
        names = re.findall(r"\w+", " ".join(re.findall(pattern, sample, re.MULTILINE)))
        assert len(names) >= 2
        assert {name[0].lower() + name[1:] for name in names} <= resource[properties].keys()


@pytest.mark.parametrize("has_whole_repository", [False, True], ids=["folder", "repository"])
def test_the_folder_is_a_plugin_under_any_name(tmp_path: Path, has_whole_repository: bool) -> None:
    """The engine runs a copy in its cache."""
    folder, copy = Path(registry.__path__[0]), tmp_path / "v1"
    ignored = shutil.ignore_patterns(".venv", "__pycache__")
    if has_whole_repository:
        shutil.copytree(folder, copy / "registry", ignore=ignored)
        shutil.copy(folder.parent / "__main__.py", copy)
    else:
        shutil.copytree(folder, copy, ignore=ignored)
    with language_host.running(copy) as channel:
        response = ResourceProviderStub(channel).GetSchema(GetSchemaRequest(), timeout=60)
    assert json.loads(response.schema) == golden.current_schema()


def properties(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return every property of the schema by its path."""
    return {
        f"{name}.{side}.{key}": property
        for name, kind in {**schema["resources"], **schema.get("types", {})}.items()
        for side in ("inputProperties", "properties")
        for key, property in kind.get(side, {}).items()
    }


SHARED = {
    "choices",
    "conflicts",
    "context",
    "distribution",
    "existing_secrets",
    "inputs",
    "failed_lookup",
    "lookup",
    "pods",
    "program",
    "preflight",
    "settings",
    "upstreams",
    "validation",
}
"""Modules that every part may import."""

TOP = {"__init__", "__main__", "command", "plugin", "private_registry", "redaction"}
"""Modules above the parts, or independent of them."""


def test_parts_never_import_each_other() -> None:
    """`private_registry.py` hands outputs from part to part."""
    root = Path(registry.__path__[0])
    modules = {path.stem for path in root.glob("*.py")} | {path.parent.name for path in root.glob("*/__init__.py")}
    parts = modules - SHARED - TOP
    assert {"users", "storage", "tls", "workload"} <= parts
    for part in parts:
        imported = _imports(root, part) - {part}
        assert not imported & parts, f"{part} imports {imported & parts}."
        assert not imported & {"inputs", "preflight"}, f"{part} imports {imported & {'inputs', 'preflight'}}."


def test_the_layers_below_the_parts_have_no_cycle() -> None:
    root = Path(registry.__path__[0])
    below = {
        "choices": set(),
        "validation": {"choices"},
        "settings": {"choices", "validation"},
        "context": {"validation"},
        "failed_lookup": set(),
        "lookup": {"context", "failed_lookup"},
        "existing_secrets": {"context", "lookup", "validation"},
        "conflicts": set(),
        "upstreams": {"settings"},
    }
    for module, allowed in below.items():
        assert _imports(root, module) - {module} <= allowed, module


def _imports(root: Path, module: str) -> set[str]:
    """Return the modules of the package that a module, or a folder of modules, imports."""
    imported: set[str] = set()
    for source in [*root.glob(f"{module}.py"), *root.glob(f"{module}/**/*.py")]:
        dots = "." * len(source.relative_to(root).parts)
        imported |= set(re.findall(rf"^\s*from {re.escape(dots)}(\w+)", source.read_text(), re.MULTILINE))
    return imported


def test_every_file_that_is_generated_from_the_schema_is_up_to_date() -> None:
    assert reference.PAGE.read_text() == reference.page(), "Run make schema."
    assert project.FILE.read_text() == project.page(), "Run make schema."


def test_every_code_of_a_refusal_occurs_in_a_test() -> None:
    """The codes are read from the source, so a new one needs a row in a table of the tests."""
    root = Path(registry.__path__[0])
    calls = [node for path in root.rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    codes = {
        ast.literal_eval(call.args[1])
        for call in calls
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "InvalidInput"
    }
    tests = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("*.py"))
    assert len(codes) > 100
    assert codes - {*re.findall(r'(?<=[" ])[^" \n]+(?=")', tests)} == set()
