"""An end-to-end test runs every example. An example that imports the component has a README and descriptions."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path for path in (ROOT / "examples").iterdir() if (path / "Pulumi.yaml").is_file())
IMPORTING = [example for example in EXAMPLES if (example / "registry").is_symlink()]
"""Examples that import the component through a symbolic link. All other examples use it as a plugin."""


def test_there_are_examples_of_both_kinds() -> None:
    """If no example were found, the parametrized tests below would be skipped."""
    assert len(IMPORTING) >= 4
    assert len(EXAMPLES) - len(IMPORTING) >= 2


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_end_to_end_test_runs_the_example(example: Path) -> None:
    # A test creates the example with create_project("NAME") or create_example("NAME"), or copies "examples/NAME".
    names = ("test_examples.py", "test_package.py", "test_policy.py", "test_take_over.py")
    sources = [(ROOT / "tests/e2e" / name).read_text() for name in names]
    calls = (f'("{example.name}")', f'"examples/{example.name}"')
    assert any(call in source for source in sources for call in calls)


@pytest.mark.parametrize("example", IMPORTING, ids=lambda path: path.name)
def test_an_example_that_imports_the_component_has_descriptions_and_a_link_to_it(example: Path) -> None:
    assert (example / "README.md").is_file()
    project = yaml.safe_load((example / "Pulumi.yaml").read_text())
    assert project["name"] == example.name
    assert all(item["description"] for item in [project, *project["config"].values()])
    assert (example / "registry").resolve() == ROOT / "registry"
