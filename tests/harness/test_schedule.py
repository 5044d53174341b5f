"""The order of the end-to-end tests: tests that share a fixture stay together, and the longest group runs first."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.e2e import schedule


def items(*nodeids: str) -> list[pytest.Item]:
    return cast(list[pytest.Item], [SimpleNamespace(nodeid=nodeid) for nodeid in nodeids])


def nodeids(tests: list[pytest.Item]) -> list[str]:
    return [item.nodeid for item in tests]


def test_tests_with_a_fixture_of_their_module_are_one_group() -> None:
    assert schedule.group("tests/e2e/test_exposure.py::test_a") == "tests/e2e/test_exposure.py"


def test_tests_that_depend_on_each_other_are_one_group() -> None:
    assert schedule.group("tests/e2e/test_guide.py::test_a") == "tests/e2e/test_guide.py"


def test_every_other_test_is_its_own_group() -> None:
    assert schedule.group("tests/e2e/test_users.py::test_a") == "tests/e2e/test_users.py::test_a"


def test_the_longest_group_runs_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    tests = items(f"{users}::a", f"{exposure}::a", f"{exposure}::b", f"{users}::b", f"{users}::new")
    schedule.arrange(tests)
    assert nodeids(tests) == [f"{users}::b", f"{exposure}::a", f"{exposure}::b", f"{users}::a", f"{users}::new"]
