"""Rules for rotations. Generations change in steps: [1], [1, 2], [2, 1], [2], then [2, 3] and so on.

The first of two generations is the current one. The other one is accepted too.
"""

from collections.abc import Mapping, Sequence

from .basics import whole_number
from .commands import set_numbers
from .errors import InvalidInput, quoted

HIGHEST_GENERATION = 50
"""Generation of a CA or a password. Each step keeps a note in the state, so 50 rotations are 150 notes."""

STEPS = 3
"""Steps from one generation alone to the next one alone."""


def generations(key: str, value: Sequence[int]) -> list[int]:
    """Require one generation, or two that follow each other, in either order."""
    remedy = f"Run `{set_numbers(key, [1])}`"
    if not isinstance(value, list) or not 1 <= len(value) <= 2:
        problem = f"must be a list of one or two generations, not {quoted(value)}"
        raise InvalidInput(key, "not-generations", problem, remedy)
    numbers = [whole_number(key, number, 1, HIGHEST_GENERATION, "a list of whole numbers", remedy) for number in value]
    if len(numbers) == 2 and abs(numbers[0] - numbers[1]) != 1:
        problem = f"must be generations that follow each other, not {quoted(value)}"
        raise InvalidInput(key, "not-consecutive", problem, remedy)
    return numbers


def step_of(generations: Sequence[int]) -> int:
    """Return how many steps lead to it: [1] is 0, [1, 2] is 1, [2, 1] is 2, [2] is 3."""
    current, *others = generations
    if not others:
        return STEPS * (current - 1)
    return STEPS * (min(generations) - 1) + (1 if current < others[0] else 2)


def generations_at(step: int) -> list[int]:
    """Return the generations at that step."""
    old = step // STEPS + 1
    return [[old], [old, old + 1], [old + 1, old]][step % STEPS]


def require_next_step(key: str, requested: Sequence[int], notes: Mapping[int, int]) -> bool:
    """Refuse to leave out a step, or to go back one.

    `notes` maps the steps before the requested one, and the step after it, to the step that was current when their
    note was written. A completed step writes its own note again. If all notes are from the requested step, this is
    the first deployment.
    """
    step = step_of(requested)
    begun = set(notes.values()) - {step}
    completed = [number for number, written_at in notes.items() if written_at == number]
    if not begun or (step - 1 in completed and step + 1 not in completed):
        return True
    if step + 1 in completed or (not completed and min(begun) > step):
        remedy = f"Set `{key}` back to what it was. From there a rotation goes on to a new generation"
        raise InvalidInput(key, "step-back", f"is {list(requested)}, which is a step back", remedy)
    due = max(completed) + 1 if completed else min(begun)
    first = generations_at(due)
    remedy = f"Set `{key}` to {first} and run `pulumi up` first. The command is `{set_numbers(key, first)}`"
    raise InvalidInput(key, "step-left-out", f"is {list(requested)}, but a rotation goes one step at a time", remedy)
