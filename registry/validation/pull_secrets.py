"""Rules for pull Secrets: the namespaces that get one, and their ServiceAccounts."""

from collections.abc import Collection

from .basics import texts
from .errors import InvalidInput, quoted
from .names import LABEL


def pull_secrets(value: list[str]) -> list[str]:
    """Require names of namespaces. The cluster's own are allowed: system Pods may run images of this registry."""
    namespaces = texts("pull_secrets", value, "team-a")
    for name in namespaces:
        if not LABEL.fullmatch(name):
            problem = f"must be names of namespaces, not {quoted(name)}"
            raise InvalidInput("pull_secrets", "not-a-dns-label", problem, "Take them from `kubectl get namespaces`")
    return namespaces


def refuse_other_pull_secrets(namespace: str, secret_name: str, existing: Collection[str]) -> str:
    """Return `secret_name`, unless the default ServiceAccount has another pull Secret, which would be removed."""
    if others := [name for name in existing if name != secret_name]:
        problem = f"must be false, because the default ServiceAccount of {namespace!r} already has the pull Secret"
        problem += f" {', '.join(others)}"
        remedy = (
            f"Set it to false. Then name {secret_name} in the `imagePullSecrets` of the Pods, or add it to the "
            f"ServiceAccount where {others[0]} is added"
        )
        raise InvalidInput("default_pull_secret", "other-pull-secrets", problem, remedy)
    return secret_name
