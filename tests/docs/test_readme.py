"""The README and the pages agree with the program: links, inputs, make targets, directories and commands."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from registry import PrivateRegistryArgs
from registry.inputs.table import DEFAULTS, INPUTS
from tests import golden

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
CONFIG: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
PAGES = [
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "dev/README.md"),
    *sorted((ROOT / "docs").rglob("*.md")),
]
MARKED = re.compile(r"^<!-- a test runs ([^>]+) -->\n```(?:sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""Block that an end-to-end test runs, after a comment that names it."""


def relative_name(path: Path) -> str:
    """Return the path of a page in the repository."""
    return str(path.relative_to(ROOT))


def test_the_config_and_the_component_describe_a_key_alike() -> None:
    resource = golden.current_schema()["resources"]["private-registry:index:PrivateRegistry"]
    inputs = dict(zip(PrivateRegistryArgs.__annotations__, resource["inputProperties"].values(), strict=True))
    for key, declared in CONFIG.items():
        assert inputs[key]["description"].startswith(f"{declared['description']}. Default"), key


def test_the_config_and_the_component_have_the_same_defaults() -> None:
    assert {key: declared["default"] for key, declared in CONFIG.items()} == DEFAULTS


@pytest.mark.parametrize("page", PAGES, ids=relative_name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text()):
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"The target of the link {target} is missing."
        assert not anchor or anchor in anchors(path), f"The heading of the link {target}#{anchor} is missing."


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_listed_in_its_index() -> None:
    for index in (ROOT / "docs/README.md", ROOT / "docs/adr/README.md"):
        linked = set(re.findall(r"\]\(([\w.-]+\.md)\)", index.read_text()))
        assert linked == {path.name for path in index.parent.glob("*.md")} - {"README.md"}, relative_name(index)


def test_every_decision_that_the_code_names_exists() -> None:
    decisions = [path.stem for path in (ROOT / "docs/adr").glob("0*.md")]
    for directory in ("registry", "ops", "dev", "tests"):
        for source in (ROOT / directory).rglob("*.py"):
            for name in re.findall(r"docs/adr/(\d[\w-]+)", source.read_text()):
                assert any(decision.startswith(name) for decision in decisions), f"{source} names {name}."


@pytest.mark.parametrize(
    "page", ["README.md", "docs/choosing.md", "docs/embedding.md", "docs/guide.md", "docs/operating.md"]
)
def test_every_key_with_a_value_on_a_page_is_an_input(page: str) -> None:
    text = (ROOT / page).read_text()
    keys = re.findall(r"`([a-z0-9_]+): ", text) + re.findall(r"config set (?:--\S+ )*'?([a-z0-9_]+)", text)
    assert set(keys) <= set(INPUTS)


def test_every_make_target_of_the_pages_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = re.findall(r"(?:`|^)make ([a-z0-9]+)", page.read_text(), re.MULTILINE)
        assert set(named) <= targets, relative_name(page)


def test_the_readme_has_the_two_commands_for_a_machine_without_a_cluster() -> None:
    assert "```sh\nmake up\nmake test\n```" in README


def test_an_end_to_end_test_runs_every_marked_block() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests/e2e").glob("test_*.py"))
    for page in PAGES:
        for name, _ in MARKED.findall(page.read_text()):
            is_called = f'marked_block("{name}"' in tests or f"marked_block('{name}'" in tests
            assert is_called, f"{relative_name(page)}: {name}"


def test_every_command_of_the_transcript_is_in_a_marked_block() -> None:
    (transcript,) = re.findall(r"^```console\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    blocks = "\n".join(block for _, block in MARKED.findall(README))
    commands = re.findall(r"^\$ (.+(?:(?<=\|)\n.+)?)$", transcript, re.MULTILINE)
    assert commands
    for command in commands:
        assert f"\n{command}\n" in f"\n{blocks}\n"


def test_contributing_describes_every_directory() -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    described = set(re.findall(r"^\| `([^`|]+)/` \|", contributing, re.MULTILINE))
    directories = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    assert described == directories - {"venv", "dist", "__pycache__"}


def test_every_file_that_contributing_names_exists() -> None:
    text = re.sub(r"^```.*?^```$", "", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    files = {word for word in re.findall(r"`([^`\s]+\.(?:py|md|yaml|json))`", text) if "/" in word}
    assert len(files) >= 10
    assert {name for name in files if not (ROOT / name).is_file()} == set()
