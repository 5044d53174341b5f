"""Pure rules for the inputs of the component.

A rule takes a value and returns it, or raises `InvalidInput`. Rules know neither Kubernetes objects nor the settings
as a whole. They refuse values before anything is created that the API server, Go's TLS or OpenSSL would refuse later.
"""

from .errors import InvalidInput
from .outputs import contains_output, require_plain_value, validate

__all__ = ["InvalidInput", "contains_output", "require_plain_value", "validate"]
