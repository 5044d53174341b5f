"""Which tests stay together on one worker, and in which order the workers take them: the longest first.

The tests of a module that has a fixture for the whole module share what it makes, so they run on one worker, and so do
those marked `together`. Every other test may run on any. The expected seconds are those of tests/durations.json. They
decide the order alone, never a verdict.
"""

from collections import defaultdict
from functools import cache

import pytest
from xdist.scheduler import LoadScopeScheduling

from dev.environment import PROJECT
from tests.harness.estimate import DURATIONS, read_durations

UNKNOWN = 5.0
"""Seconds expected of a test that has never been measured."""


class Scheduler(LoadScopeScheduling):
    """Give a worker one group after another, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def arrange(items: list[pytest.Item]) -> None:
    """Sort `items`: the group with the most expected seconds first, within a group as they were."""
    expected = read_durations(DURATIONS)
    groups: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        groups[group(item.nodeid)].append(item)

    def seconds(members: list[pytest.Item]) -> float:
        return sum(expected.get(item.nodeid, UNKNOWN) for item in members)

    items[:] = [item for members in sorted(groups.values(), key=seconds, reverse=True) for item in members]


def group(nodeid: str) -> str:
    """Return the module of a test that runs together with the others of its module, else the test itself."""
    module = nodeid.partition("::")[0]
    return module if _is_together(module) else nodeid


@cache
def _is_together(module: str) -> bool:
    text = (PROJECT / module).read_text()
    return 'scope="module"' in text or "pytest.mark.together" in text
