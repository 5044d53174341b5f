"""Messages of the rules in `registry.validation`, so that no end-to-end test repeats their wording."""

from collections.abc import Callable
from typing import Any

import pytest

from registry import InvalidInput


def message(rule: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Call the rule, which must refuse the arguments, and return its message."""
    with pytest.raises(InvalidInput) as refusal:
        rule(*args, **kwargs)
    return str(refusal.value)
