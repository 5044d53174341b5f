"""Preconditions: lookups and reservations before the component creates anything."""

from .duplicates import reserve, use_process_scope
from .preconditions import Preconditions, check_preconditions

__all__ = ["Preconditions", "check_preconditions", "reserve", "use_process_scope"]
