"""`python -m ops` as a whole: its help, its errors, and the imports between its parts."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import typer.main

import ops
from ops.__main__ import app
from ops.errors import CheckError, ClusterError, CommandError, PulumiError

ROOT = Path(ops.__path__[0])
COMMANDS = typer.main.get_group(app).commands


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_sentence_and_examples_that_parse(name: str) -> None:
    text = COMMANDS[name].help or ""
    sentence, *_ = text.split("\n\n")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    examples = [line.split() for line in text.partition("EXAMPLES")[2].splitlines() if line.strip()]
    assert examples
    for example in examples:
        assert example[:4] == ["python", "-m", "ops", name]
        COMMANDS[name].make_context(name, example[4:])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_sentence_of_help(name: str) -> None:
    for parameter in COMMANDS[name].params:
        text = getattr(parameter, "help", None)
        assert text, parameter.name
        assert text[0].isupper(), text
        assert text.endswith("."), text


@pytest.mark.parametrize("error", [CommandError, CheckError, ClusterError, PulumiError])
def test_an_error_is_printed_as_cause_and_remedy(error: type[CommandError]) -> None:
    failure = error("It is: broken; badly.", "Repair it.")
    assert isinstance(failure, CommandError)
    assert (failure.cause, failure.remedy) == ("It is: broken; badly.", "Repair it.")
    assert str(failure) == "It is: broken; badly. Repair it."


def imported_parts(source: Path) -> set[str]:
    """Return the parts of `ops` that a module imports: modules and folders directly below `ops`."""
    package = source.relative_to(ROOT).parent.parts
    parts = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            parts |= {above[0]} if above[0] else {name.name for name in node.names}
    return parts


def test_only_the_command_line_imports_the_folder_of_another_command() -> None:
    commands = {"propose", "verify", "status", "trust", "login", "recover", "maintenance"}
    for source in ROOT.rglob("*.py"):
        part = source.relative_to(ROOT).parts[0].removesuffix(".py")
        allowed = commands if part == "__main__" else {part}
        assert not imported_parts(source) & (commands - allowed), f"{source} imports a command."


def test_shared_modules_have_no_import_cycle() -> None:
    modules = {path.stem: imported_parts(path) for path in ROOT.glob("*.py") if path.stem != "__init__"}
    TopologicalSorter(modules).prepare()
