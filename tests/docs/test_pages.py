"""The pages about clients name inputs, outputs, commands and files that exist."""

import re
import tomllib
from pathlib import Path

import pytest
import typer.main

from ops.__main__ import app
from ops.trust import CLIENTS
from registry import PrivateRegistry
from registry.inputs.table import INPUTS
from registry.maintenance.job.export import HELP

ROOT = Path(__file__).parents[2]
PAGES = [
    *("README.md", "docs/trust.md", "docs/symptoms.md", "docs/clients.md", "docs/guide.md", "docs/operating.md"),
    *("docs/maintenance.md", "docs/monitoring.md", "docs/backup.md"),
]
CODE = "\n".join(path.read_text() for name in ("registry", "ops") for path in sorted((ROOT / name).rglob("*.py")))
"""Source of `registry` and `ops`."""

PLACEHOLDERS = {"IP": "192.0.2.1", "HOST:PORT": "docker-registry:5000"}
"""Values for the words in capitals."""

OUTPUTS = set(PrivateRegistry.__annotations__)
"""Names of the component's outputs."""

NOT_INPUTS = {"config_path", "keep_days"}
"""Words that look like an input: a setting of containerd, and a field of `retention`."""

OTHER_OPTIONS = {"--hosts-dir", "--resolve", "--add-host", "--driver-opt", "--path", "--type", "--ca-file"}
"""Options of ctr, curl, docker, pulumi and oras."""


def read_code(page: str) -> tuple[list[str], list[str]]:
    """Return the code in the running text of a page, and the lines of its shell blocks."""
    text = (ROOT / page).read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    running = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`]+)`", running), "".join(blocks).splitlines()


@pytest.mark.parametrize("page", PAGES)
def test_every_word_that_looks_like_an_input_is_an_input_or_an_output(page: str) -> None:
    running, lines = read_code(page)
    words = {word for word in running if re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", word)} - NOT_INPUTS - HELP.keys()
    assert words <= INPUTS.keys() | OUTPUTS
    text = "\n".join([*running, *lines])
    assert set(re.findall(r"config set (?:--\S+ )*'?([a-z0-9_]+)", text)) <= INPUTS.keys()
    assert set(re.findall(r"stack output ([a-z_]+)", text)) <= OUTPUTS


@pytest.mark.parametrize("page", PAGES)
def test_every_call_of_ops_has_a_command_and_options_that_exist(page: str) -> None:
    commands = typer.main.get_group(app).commands
    running, lines = read_code(page)
    calls = re.findall(r"python -m ops ([^|&;#\n]+)", "\n".join([*running, *lines]))
    options = {option for command in commands.values() for parameter in command.params for option in parameter.opts}
    assert {word.split()[0] for word in running if word.startswith("--")} <= options | OTHER_OPTIONS
    assert calls
    for call in calls:
        name, *arguments = (PLACEHOLDERS.get(word, word) for word in call.split())
        parameters = commands[name].make_context(name, arguments).params
        assert set(parameters.get("clients") or []) <= {*CLIENTS, "all"}, call


def test_the_configuration_of_buildx_names_the_endpoint_and_the_ca() -> None:
    """No test runs BuildKit. The commands of the page must write the CA that its configuration names."""
    text = (ROOT / "docs/clients.md").read_text()
    (block,) = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert tomllib.loads(block) == {"registry": {"docker-registry:5000": {"ca": ["ca.pem"]}}}
    _, lines = read_code("docs/clients.md")
    assert "pulumi stack output ca_pem > ca.pem" in lines
    assert any("--buildkitd-config buildkitd.toml" in line for line in lines)


def test_every_command_of_ops_is_in_the_readme() -> None:
    running, _ = read_code("README.md")
    assert {f"python -m ops {name}" for name in typer.main.get_group(app).commands} <= set(running)


def test_every_file_and_object_that_the_page_of_trust_names_is_in_the_code() -> None:
    running, _ = read_code("docs/trust.md")
    files = {word for word in running if re.match(r"/|\w+\.[a-z]+$", word)} - {"ca.pem"}
    assert files
    secrets = set(re.findall(r"\b[a-z]+-secret\b", (ROOT / "docs/trust.md").read_text()))
    assert secrets == {"cert-secret", "auth-secret", "access-secret"}
    for name in files | secrets:
        assert re.search(rf'(?<=["/ ]){re.escape(name)}(?=["/\n])', CODE), name
