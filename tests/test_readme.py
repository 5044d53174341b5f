"""What the README, Pulumi.yaml, the Makefile and the component say of each other is the same."""

import re
from pathlib import Path
from typing import Any

import yaml

from registry.inputs.table import DEFAULTS, INPUTS
from tests.golden import reference

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
ARGUMENTS = (ROOT / "registry/args.py").read_text()
CONFIG: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]


def test_the_configuration_reference_is_the_components() -> None:
    assert reference.PAGE.read_text() == reference.page(), "make schema"


def test_the_command_line_describes_a_key_as_the_component_does() -> None:
    for key, each in CONFIG.items():
        assert f'"""{each["description"]}. Default' in ARGUMENTS, key


def test_every_link_of_a_page_leads_somewhere() -> None:
    for source in [ROOT / "README.md", ROOT / "dev/README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", source.read_text()):
            assert (source.parent / target).exists(), f"{source.name} links to {target}"


def test_every_key_of_a_page_is_an_input() -> None:
    """In running text, a key beside a value: `exposure: ingress`, or in a command."""
    for source in [ROOT / "README.md", ROOT / "docs/choosing.md"]:
        text = source.read_text()
        keys = re.findall(r"`([a-z0-9_]+): ", text) + re.findall(r"config set (?:--\S+ )*'?([a-z0-9_]+)", text)
        assert set(keys) <= set(INPUTS), source.name


def test_the_program_and_the_component_have_the_same_defaults() -> None:
    assert {key: each["default"] for key, each in CONFIG.items()} == DEFAULTS


def test_every_verb_of_a_readme_is_one_of_make() -> None:
    verbs = set(re.findall(r"^([a-z0-9]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in (README, (ROOT / "dev/README.md").read_text()):
        assert set(re.findall(r"`make ([a-z0-9]+)`|^make ([a-z0-9]+)$", page, re.MULTILINE)) <= {
            *((verb, "") for verb in verbs),
            *(("", verb) for verb in verbs),
        }


def test_every_room_of_the_readme_is_there_and_the_other_way_round() -> None:
    named = set(re.findall(r"^\| `([^`|]+)/` \|", README, re.MULTILINE))
    rooms = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    assert {name.partition("/")[0] for name in named} == rooms - {"venv", "__pycache__"}


def test_every_decision_that_is_named_is_written_down() -> None:
    written = {path.stem for path in (ROOT / "docs/adr").glob("*.md")}
    for source in (ROOT / "registry").rglob("*.py"):
        for named in re.findall(r"docs/adr/([\w-]+)", source.read_text()):
            assert any(each.startswith(named) for each in written), f"{source.name} names {named}"
