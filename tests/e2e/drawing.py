"""Draw examples with hypothesis, the same ones for the same seed."""

import os
from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

SEED = int(os.environ.get("SOAK_SEED", "20261125"))
"""Seed of the examples. `make test` always has the same one, `make soak` draws one and prints it."""

Example = TypeVar("Example")
Result = TypeVar("Result")


def draw_examples(
    number: int, examples: st.SearchStrategy[Example], apply_rules: Callable[[Example], Result]
) -> list[Result]:
    """Draw examples, and return the result of `apply_rules` for each. The judges get them later, all at once."""
    results: list[Result] = []

    @seed(SEED)
    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(examples)
    def run_example(example: Example) -> None:
        results.append(apply_rules(example))

    run_example()
    return results
