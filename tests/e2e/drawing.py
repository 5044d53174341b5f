"""Draw examples with hypothesis. The same seed gives the same examples."""

import os
from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

SEED = int(os.environ.get("SOAK_SEED", "20261125"))
"""Seed of the examples. It is fixed in `make test`. `make soak` draws a seed and prints it."""

Example = TypeVar("Example")
Result = TypeVar("Result")


def draw_examples(
    number: int, examples: st.SearchStrategy[Example], evaluate: Callable[[Example], Result]
) -> list[Result]:
    """Draw `number` examples, and return the results of `evaluate`.

    A caller gets all results together, because a judge is faster if it is asked about all of them at once.
    """
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
        results.append(evaluate(example))

    run_example()
    return results
