"""Every value that a remedy proposes is accepted, and a test types every command that a message names."""

import copy
import re
from functools import reduce
from operator import getitem
from typing import Any

import pytest

from registry.inputs.table import INPUTS
from registry.validation import InvalidInput
from tests.examples import EXAMPLES, REFUSED
from tests.golden import messages
from tests.remedies import remedies

VALUE = re.compile(r"(?:[Ff]or example|Write|Use|, or) ('(?:[^'\\]|\\.)*'|[0-9]+\b)")
"""A quoted text or a number that a remedy proposes."""


def refusal(key: str, value: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as raised:
        INPUTS[key].rule(value)
    return raised.value


def proposals(remedy: str) -> list[Any]:
    """Return the values that a remedy proposes outside of its commands."""
    prose = re.sub(r"`[^`]*`", "", remedy)
    return [value.strip("'") if value.startswith("'") else int(value) for value in VALUE.findall(prose)]


def insert_proposal(error: InvalidInput, value: Any, proposal: Any) -> Any:
    """Return the input with the proposal in the place of the refused part of `value`."""
    key, *path = re.findall(r"[^.\[\]]+", error.key)
    if not path:
        return [proposal] if isinstance(EXAMPLES[key], list) else proposal
    if key not in ("access", "robots", "token", "collect", "retention", "scrub", "backup"):
        return {error.key.partition(".")[2]: proposal}
    changed = copy.deepcopy(value)
    *parents, last = [int(part) if part.isdigit() else part for part in path]
    parent = reduce(getitem, parents, changed)
    is_list = isinstance(parent[last], list) if last in parent or isinstance(last, int) else False
    parent[last] = [proposal] if is_list else proposal
    return changed


def test_every_value_that_a_remedy_proposes_is_accepted_and_most_remedies_propose_one() -> None:
    with_proposal = 0
    for key, value, _ in REFUSED:
        error = refusal(key, value)
        accepted = [INPUTS[key].rule(insert_proposal(error, value, proposal)) for proposal in proposals(error.remedy)]
        with_proposal += bool(accepted)
    assert with_proposal > len(REFUSED) / 2


SPAN = re.compile(r"`(pulumi config [^`]*)`|^- \*\*text\*\* (pulumi config .*)$", re.MULTILINE)
"""A command on the page of messages. It is in backticks, or it is the whole text that a function returns."""


def test_every_config_command_of_a_message_is_typed_by_a_test() -> None:
    """`remedies` has them, and tests/e2e/test_remedies.py types its commands."""
    typed = [remedy.command for remedy in remedies()]
    page = messages.PAGE.read_text().partition("## --help")[0]
    commands = [span or text for span, text in SPAN.findall(page)]
    assert len(commands) > 15
    assert not [command for command in commands if not any(_is_form_of(command, text) for text in typed)]


def _is_form_of(command: str, text: str) -> bool:
    """Return whether the text is the command with values in the place of its braces."""
    parts = [re.escape(part) for part in re.split(r"\{.*?\}(?=[^}']|$)| / ", command)]
    return re.fullmatch(".*".join(parts), text) is not None
