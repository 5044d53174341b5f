"""What the README, Pulumi.yaml, the Makefile and the component say of each other is the same."""

import re
from pathlib import Path
from typing import Any

import yaml

from registry.settings import DEFAULTS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
CONFIG: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]


def table() -> str:
    """The configuration table of the README, as Pulumi.yaml would have it."""
    rows = [
        f"| `{key}` | {each['type']} | `{each['default'] or 'none'}` | {each['description']} |".replace(
            "`none`", "none"
        )
        if each["default"] in ([], {})
        else f"| `{key}` | {each['type']} | `{each['default']}` | {each['description']} |"
        for key, each in CONFIG.items()
    ]
    return "\n".join(["| key | type | default | what it is |", "|---|---|---|---|", *rows])


def test_the_configuration_table_is_pulumi_yamls() -> None:
    assert table() in README, f"paste this:\n{table()}"


def test_the_program_and_the_component_have_the_same_defaults() -> None:
    assert {key: each["default"] for key, each in CONFIG.items()} == DEFAULTS


def test_every_verb_of_the_readme_is_one_of_make() -> None:
    verbs = set(re.findall(r"^([a-z0-9]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z0-9]+)`|^make ([a-z0-9]+)$", README, re.MULTILINE)) <= {
        *((verb, "") for verb in verbs),
        *(("", verb) for verb in verbs),
    }


def test_every_room_of_the_readme_is_there_and_the_other_way_round() -> None:
    named = set(re.findall(r"^\| `([^`|]+)/` \|", README, re.MULTILINE))
    rooms = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    assert {name.partition("/")[0] for name in named} == rooms - {"venv", "__pycache__"}


def test_every_decision_that_is_named_is_written_down() -> None:
    written = {path.stem for path in (ROOT / "docs/adr").glob("*.md")}
    for source in [*(ROOT / "registry").glob("*.py"), *(ROOT / "registry/validation").glob("*.py")]:
        for named in re.findall(r"docs/adr/([\w-]+)", source.read_text()):
            assert any(each.startswith(named) for each in written), f"{source.name} names {named}"
