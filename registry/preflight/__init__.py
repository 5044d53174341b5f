"""Preconditions: lookups and reservations before the component creates anything."""

from .duplicates import reserve, use_process_scope
from .leases import acquire_leases
from .node import look_up_node
from .prometheus import look_up_operator

__all__ = ["acquire_leases", "look_up_node", "look_up_operator", "reserve", "use_process_scope"]
