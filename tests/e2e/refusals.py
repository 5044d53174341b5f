"""Messages of refusals, as the offline rules make them. So no end-to-end test repeats their wording."""

from collections.abc import Callable
from typing import Any

import pytest

from registry import InvalidInput


def message(rule: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Return the message with which the rule refuses the arguments."""
    with pytest.raises(InvalidInput) as refusal:
        rule(*args, **kwargs)
    return str(refusal.value)
