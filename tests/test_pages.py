"""What the pages about clients name is there: inputs, outputs, commands, and files as the code writes them."""

import re
from pathlib import Path

import pytest
import typer.main

from ops.__main__ import app
from ops.trust import CLIENTS
from registry import PrivateRegistry
from registry.inputs.table import INPUTS

ROOT = Path(__file__).parent.parent
PAGES = ["docs/trust.md", "docs/symptoms.md", "docs/clients.md"]
CODE = "\n".join(path.read_text() for folder in ("registry", "ops") for path in sorted((ROOT / folder).rglob("*.py")))
VALUES = {"IP": "192.0.2.1", "HOST:PORT": "docker-registry:5000"}
OUTPUTS = set(PrivateRegistry.__annotations__)


def code(page: str) -> tuple[list[str], list[str]]:
    """What stands in backticks in running text, and the lines of the blocks."""
    text = (ROOT / page).read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    running = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`]+)`", running), "".join(blocks).splitlines()


@pytest.mark.parametrize("page", PAGES)
def test_what_looks_like_an_input_is_one_or_an_output(page: str) -> None:
    running, lines = code(page)
    named = {each for each in running if re.fullmatch(r"[a-z]+(_[a-z]+)+", each)} - {"config_path"}
    assert named <= INPUTS.keys() | OUTPUTS
    text = "\n".join([*running, *lines])
    assert set(re.findall(r"config set (?:--\S+ )*'?([a-z0-9_]+)", text)) <= INPUTS.keys()
    assert set(re.findall(r"stack output ([a-z_]+)", text)) <= OUTPUTS


@pytest.mark.parametrize("page", PAGES)
def test_every_call_of_ops_is_understood(page: str) -> None:
    """A word in capitals stands for a value."""
    commands = typer.main.get_group(app).commands
    running, lines = code(page)
    calls = re.findall(r"python -m ops ([^|&;#\n]+)", "\n".join([*running, *lines]))
    options = {option for each in commands.values() for parameter in each.params for option in parameter.opts}
    assert {each.split()[0] for each in running if each.startswith("--")} <= options | {"--hosts-dir"}  # ctr's
    assert calls
    for call in calls:
        name, *arguments = (VALUES.get(word, word) for word in call.split())
        asked = commands[name].make_context(name, arguments).params
        assert set(asked.get("clients") or []) <= {*CLIENTS, "all"}, call


def test_every_file_and_object_that_trust_names_is_one_of_the_code() -> None:
    running, _ = code("docs/trust.md")
    files = {each for each in running if re.match(r"/|\w+\.[a-z]+$", each)} - {"ca.pem"}
    assert files
    drawn = set(re.findall(r"\b[a-z]+-secret\b", (ROOT / "docs/trust.md").read_text()))
    assert drawn == {"cert-secret", "auth-secret"}
    for name in files | drawn:
        assert re.search(rf'(?<=["/ ]){re.escape(name)}(?=["/\n])', CODE), name
