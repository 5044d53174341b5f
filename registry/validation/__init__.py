"""Rules for the inputs of the component. They send no requests and create no resources.

A rule takes the value of an input and returns it, or raises `InvalidInput`. Other rules compare several inputs, or
inputs with objects that were looked up. They refuse a value before anything is created, if the API server, the registry
or its clients would refuse it later.
"""

from .errors import InvalidInput
from .outputs import contains_output, require_plain_value, validate

__all__ = ["InvalidInput", "contains_output", "require_plain_value", "validate"]
