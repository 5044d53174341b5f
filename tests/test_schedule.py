"""End-to-end tests that share a module's fixture stay together, and the longest come first."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.e2e import schedule


def items(*nodeids: str) -> list[pytest.Item]:
    return cast(list[pytest.Item], [SimpleNamespace(nodeid=nodeid) for nodeid in nodeids])


def order(found: list[pytest.Item]) -> list[str]:
    return [item.nodeid for item in found]


def test_tests_that_share_a_fixture_of_their_module_are_one_group() -> None:
    assert schedule.group("tests/e2e/test_exposure.py::test_a") == "tests/e2e/test_exposure.py"


def test_tests_that_build_on_each_other_are_one_group() -> None:
    assert schedule.group("tests/e2e/test_guide.py::test_a") == "tests/e2e/test_guide.py"


def test_every_other_test_is_a_group_of_its_own() -> None:
    assert schedule.group("tests/e2e/test_users.py::test_a") == "tests/e2e/test_users.py::test_a"


def test_the_group_that_takes_longest_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users, exposure = "tests/e2e/test_users.py", "tests/e2e/test_exposure.py"
    expected: dict[str, Any] = {
        f"{users}::a": 10.0,
        f"{users}::b": 40.0,
        f"{exposure}::a": 12.0,
        f"{exposure}::b": 13.0,
    }
    file = tmp_path / "durations.json"
    file.write_text(json.dumps(expected))
    monkeypatch.setattr(schedule, "DURATIONS", file)
    found = items(f"{users}::a", f"{exposure}::a", f"{exposure}::b", f"{users}::b", f"{users}::new")
    schedule.arrange(found)
    assert order(found) == [f"{users}::b", f"{exposure}::a", f"{exposure}::b", f"{users}::a", f"{users}::new"]
