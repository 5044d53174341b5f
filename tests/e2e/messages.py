"""Messages of the offline rules, so that no end-to-end test repeats their wording."""

from collections.abc import Callable
from typing import Any

import pytest

from registry import InvalidInput


def message(rule: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Return the message of the rule's refusal of the arguments."""
    with pytest.raises(InvalidInput) as refusal:
        rule(*args, **kwargs)
    return str(refusal.value)
