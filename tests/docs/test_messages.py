"""The page of messages, tests/golden/messages.md, has every text that people read."""

import ast
from pathlib import Path

import pytest

from tests.golden import messages
from tests.golden.texts import Text, read_texts

ERRORS = {"CheckError", "InvalidInput"}


def texts(tmp_path: Path, source: str) -> list[tuple[str, str]]:
    """Return kind and content of each text of a file with this source."""
    path = tmp_path / "module.py"
    path.write_text(source)
    return [(text.kind, text.content) for text in read_texts(path, ERRORS)]


def function(body: str) -> str:
    return f"def check(value):\n    {body}\n"


def error_lines(path: Path, errors: set[str]) -> set[int]:
    """Return the lines that call an error class, found without the code of the page."""
    lines = path.read_text().splitlines()
    calls = tuple(f"{error}(" for error in errors)
    return {
        number
        for number, line in enumerate(lines, 1)
        if any(line.strip().startswith((f"raise {call}", f"return {call}")) or f" = {call}" in line for call in calls)
    }


@pytest.mark.parametrize("package", messages.PACKAGES)
def test_every_raise_site_is_on_the_page(package: str) -> None:
    errors = messages.error_classes(package)
    listed = messages.package_texts(package)
    for path in (messages.ROOT / package).rglob("*.py"):
        if ".venv" not in path.parts:
            missing = error_lines(path, errors) - {text.line for text in listed.get(path, [])}
            assert not missing, f"{path}: the errors of lines {sorted(missing)} are missing"


@pytest.mark.parametrize("package", ["ops", "dev"])
def test_the_page_knows_all_error_classes(package: str) -> None:
    tree = ast.parse((messages.ROOT / package / "errors.py").read_text())
    classes = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    assert classes | {"InvalidInput"} == messages.error_classes(package)


def test_an_input_error_has_its_code_and_a_sentence_with_its_key(tmp_path: Path) -> None:
    source = function('raise InvalidInput("port", "out-of-range", f"is {value}", "For example 5000")')
    assert texts(tmp_path, source) == [("out-of-range", "`port` is {value}. For example 5000.")]


@pytest.mark.parametrize(
    "body",
    [
        'raise CheckError("The node is down.", "Start the node.")',
        'raise CheckError(cause="The node is down.", remedy="Start the node.")',
        'cause = "The node is down."\n    raise CheckError(cause, "Start the node.")',
        'return lambda: CheckError("The node is down.", "Start the node.", 7)',
    ],
)
def test_another_error_has_its_class_cause_and_remedy(tmp_path: Path, body: str) -> None:
    assert texts(tmp_path, function(body)) == [("CheckError", "The node is down. Start the node.")]


def test_an_error_outside_of_a_function_is_listed(tmp_path: Path) -> None:
    source = 'DOWN = CheckError("The node is down.", "Start the node.")\n'
    assert texts(tmp_path, source) == [("CheckError", "The node is down. Start the node.")]


def test_a_constant_is_shown_in_the_message_that_uses_it(tmp_path: Path) -> None:
    source = 'REMEDY = "Start the node again."\n' + function('raise CheckError("The node is down.", REMEDY)')
    assert texts(tmp_path, source) == [("CheckError", "The node is down. Start the node again.")]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('return Verdict(f"{value} left", "Add a disk.")', ("verdict", "{value} left → Add a disk.")),
        ('return Verdict("full" if value else "fine")', ("verdict", "full / fine")),
        ('return Change(value, "kept", note="not managed")', ("note", "not managed")),
        ('raise typer.BadParameter("Use HOST.", param_hint="--ca")', ("usage error", "--ca: Use HOST.")),
        ('print_line("Nothing to do.")', ("output", "Nothing to do.")),
        ('with step(f"stack {value}"):\n        pass', ("step", "stack {value}")),
        ('return {"lock released": value}', ("title", "lock released")),
        ('return (("x509", "Install the new CA."),)', ("row", "`x509`: Install the new CA.")),
        ('return "the runtime gave no reason"', ("text", "the runtime gave no reason")),
    ],
)
def test_other_texts_have_their_kind(tmp_path: Path, body: str, expected: tuple[str, str]) -> None:
    assert texts(tmp_path, function(body)) == [expected]


@pytest.mark.parametrize(
    "body",
    [
        '"""Check the value of the node."""',
        'return ["--output", "json", value]',
        'return Verdict(value, "")',
        'assert value, "the file has no version"',
        'return re.compile("signed by unknown authority")',
    ],
)
def test_strings_that_nobody_reads_are_not_listed(tmp_path: Path, body: str) -> None:
    assert texts(tmp_path, function(body)) == []


def test_a_text_of_several_lines_is_a_block(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "page.py"
    monkeypatch.setattr(messages, "ROOT", tmp_path)
    monkeypatch.setattr(messages, "PACKAGES", ["bench"])
    monkeypatch.setattr(messages, "package_texts", lambda _: {path: [Text(1, "text", "first\nsecond line\n")]})
    monkeypatch.setattr(messages, "read_help", lambda: [])
    assert "- **text**\n\n  ```text\n  first\n  second line\n  ```\n" in messages.page()


def test_the_page_is_up_to_date() -> None:
    assert messages.PAGE.read_text() == messages.page(), "Run make schema."


def test_the_page_has_the_help_of_every_command() -> None:
    page = messages.PAGE.read_text()
    for command in ("ops verify", "ops trust", "dev up", "dev env", "bench", "tests"):
        assert f"$ python -m {command} --help\n" in page
    assert all(len(line) <= 100 for line in page.partition("## --help")[2].splitlines())
