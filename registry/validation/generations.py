"""Generations of what is rotated, and the steps from one to the next: [1], [1, 2], [2, 1], [2], then [2, 3] and so on.

The first of two is the one in use, the other is accepted beside it.
"""

from collections.abc import Mapping, Sequence

from . import Described, InvalidInput, whole_number

HIGHEST = 50
"""Generation: each step keeps a note in the state, so fifty rotations are 150 notes."""

STEPS = 3
"""From one generation alone to the next one alone."""


def generations(key: str, value: Sequence[int]) -> list[int]:
    """One generation, or two that follow each other in either order."""
    remedy = "for example [1], or [1, 2] where the next one is accepted too"
    if not isinstance(value, list) or not 1 <= len(value) <= 2:
        raise InvalidInput(key, "a list of one generation or two", value, remedy)
    numbers = [whole_number(key, each, 1, HIGHEST, "a list of whole numbers", remedy) for each in value]
    if len(numbers) == 2 and abs(numbers[0] - numbers[1]) != 1:
        raise InvalidInput(key, "consecutive generations", value, remedy)
    return numbers


def step_of(given: Sequence[int]) -> int:
    """How many steps lie before it: [1] is 0, [1, 2] is 1, [2, 1] is 2, [2] is 3."""
    in_use, *beside = given
    if not beside:
        return STEPS * (in_use - 1)
    return STEPS * (min(given) - 1) + (1 if in_use < beside[0] else 2)


def at_step(step: int) -> list[int]:
    """The generations at that step."""
    old = step // STEPS + 1
    return [[old], [old, old + 1], [old + 1, old]][step % STEPS]


def one_step(key: str, asked: Sequence[int], notes: Mapping[int, int]) -> bool:
    """Refuse to leave out a step, or to go back one.

    `notes` tells of the steps before the one that is asked for, and of the one behind it, at which step each note was
    made. Who takes a step makes its note anew, so a note that was made at its own step is of one that was taken. Where
    all were made at the step that is asked for, nothing was there before: it is the first.
    """
    step = step_of(asked)
    begun = set(notes.values()) - {step}
    taken = [each for each, made in notes.items() if made == each]
    if not begun or (step - 1 in taken and step + 1 not in taken):
        return True
    if step + 1 in taken or (not taken and min(begun) > step):
        must, got = "the step that it was, or the next", f"{list(asked)}, a step back"
        remedy = f"set {key} back to what it was: from there a rotation goes on to a new generation"
        raise InvalidInput(key, must, Described(got), remedy)
    due = max(taken) + 1 if taken else min(begun)
    was = f"{at_step(due - 1)} or {at_step(due)}" if taken else f"{at_step(due)}"
    remedy = f"set {key} to {at_step(due)} and `pulumi up` first"
    raise InvalidInput(key, f"{was}, as a rotation goes one step at a time", Described(list(asked)), remedy)
