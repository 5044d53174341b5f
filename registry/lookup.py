"""Resource names of lookups: objects that exist and that the component does not own.

If such an object is missing, the engine says "Node (NAME): resource 'x' does not exist" and ends the program. Only the
resource NAME of that message can be chosen, so it holds the remedy. (Error hooks cover creations, not reads.)
"""


def lookup_name(prefix: str, kubectl_resource: str) -> str:
    """Return the resource name of a lookup, such as `registry-node-from-kubectl-get-nodes`."""
    return f"{prefix}-from-kubectl-get-{kubectl_resource}"
