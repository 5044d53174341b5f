"""docs/guide.md has the steps of bench/guide.sh, and names objects that the component creates."""

import re
from pathlib import Path

import yaml

from tests.conftest import deploy_once, unwrap_secret

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/guide.md").read_text()
SCRIPT = (ROOT / "bench/guide.sh").read_text()

OMITTED_STEPS = ("9", "11")
"""Numbers of the steps that are only a heading in the script."""


def manual_steps() -> dict[str, str]:
    """Return the text `By hand` of each step, by the number of the step."""
    return dict(re.findall(r"^## (\d+)\. .*?\n\n- \*\*By hand\*\*: (.*?)(?=\n- |\n\n)", PAGE, re.MULTILINE | re.DOTALL))


def test_the_page_has_the_steps_of_the_script() -> None:
    steps = re.findall(r"^# (\d+)\. ", SCRIPT, re.MULTILINE)
    assert list(manual_steps()) == steps == [str(number) for number in range(1, 12)]


def test_the_script_has_every_value_that_the_page_quotes() -> None:
    variables = re.findall(r"^(\w+)=([\w.-]+)$", SCRIPT, re.MULTILINE)
    script = SCRIPT
    for name, value in variables:
        script = script.replace(f"${name}", value)
    for step, text in manual_steps().items():
        quoted = [value for value in re.findall(r"`([^`]+)`", text) if not value.startswith("docker ")]
        missing = [value for value in quoted if value not in script]
        assert step in OMITTED_STEPS or not missing, f"Step {step}: {missing}"


def test_the_component_creates_the_objects_that_the_page_names() -> None:
    config = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]
    engine = deploy_once("registry", {key.partition(":")[2]: value for key, value in config.items()})
    created = {
        (resource.type.rpartition(":")[2], unwrap_secret(resource.inputs["metadata"]).get("name"))
        for resource in engine.resources
        if resource.inputs.get("metadata")
    }
    named = set(re.findall(r"`([A-Z]\w+) ([a-z0-9-]+)`", PAGE))
    assert len(named) >= 8
    assert named <= created
