"""`pulumi up` on a stack of an earlier release keeps images, passwords and CAs. tests/releases has what they deploy."""

import json
from typing import Any

import pytest

import registry
from tests.releases import CONFIGS, FOLDER, Resources, file_of, record

RELEASES = sorted(path.stem for path in FOLDER.glob("*.json"))


def changes(before: Resources, after: Resources) -> dict[str, Any]:
    """Return the resources that an upgrade deletes, with None, or changes, with the new inputs."""
    return {urn: after.get(urn) for urn, inputs in before.items() if after.get(urn) != inputs}


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("config", CONFIGS)
def test_an_upgrade_keeps_what_holds_images_passwords_and_cas(release: str, config: str) -> None:
    before = json.loads(file_of(release).read_text()).get(config, {})
    assert changes(before, json.loads(json.dumps(record(CONFIGS[config])))) == {}


def test_the_newest_release_has_a_file_with_every_config() -> None:
    assert json.loads(file_of(registry.__version__).read_text()).keys() == CONFIGS.keys()


@pytest.mark.parametrize("change", [{"namespace": "other"}, {"certificate_key": "RSA-2048"}, {"storage_size": "9Gi"}])
def test_a_change_of_such_a_resource_is_noticed(change: dict[str, Any]) -> None:
    config = CONFIGS["the guide"]
    assert changes(record(config), record(config | change))
