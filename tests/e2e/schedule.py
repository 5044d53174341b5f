"""Assign tests to the workers of pytest-xdist, the longest first.

All tests of a module run on one worker if the module has a fixture with the scope of a module, or the mark `together`.
Every other test may run on any worker. The expected seconds in tests/durations.json only decide the order.
"""

from collections import defaultdict
from functools import cache

import pytest
from xdist.scheduler import LoadScopeScheduling

from dev.environment import PROJECT
from tests.harness.estimate import DURATIONS, read_durations

DEFAULT_SECONDS = 5.0
"""Expected seconds of a test without an entry in tests/durations.json."""


class Scheduler(LoadScopeScheduling):
    """Give a worker one group after another, in the order of the collection."""

    # The base class calls this method, and keeps tests with the same result on one worker.
    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def arrange(items: list[pytest.Item]) -> None:
    """Sort `items` by the expected seconds of their group, the longest first. Keep the order within a group."""
    expected = read_durations(DURATIONS)
    groups: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        groups[group(item.nodeid)].append(item)

    def seconds(members: list[pytest.Item]) -> float:
        return sum(expected.get(item.nodeid, DEFAULT_SECONDS) for item in members)

    items[:] = [item for members in sorted(groups.values(), key=seconds, reverse=True) for item in members]


def group(nodeid: str) -> str:
    """Return the name of a test's group: its module if all tests of the module run together, else the test itself."""
    module = nodeid.partition("::")[0]
    return module if _is_together(module) else nodeid


@cache
def _is_together(module: str) -> bool:
    text = (PROJECT / module).read_text()
    return 'scope="module"' in text or "pytest.mark.together" in text
