"""Who else pulls: namespaces of Pods, and what their ServiceAccounts already have."""

from collections.abc import Collection, Mapping
from typing import Any

from . import Described, InvalidInput, words
from .names import LABEL


def pull_secrets(value: list[str]) -> list[str]:
    """Namespaces, each once. The cluster's own too: its system Pods may run images of this registry."""
    for name in words("pull_secrets", value, ["team-a", "team-b"]):
        if not LABEL.fullmatch(name):
            remedy = "take them from `kubectl get namespaces`"
            raise InvalidInput("pull_secrets", "names of namespaces, DNS labels", name, remedy)
    return value


def refuse_own_namespace(given: Mapping[str, Any]) -> None:
    """The namespace that is made for the registry is not there before, and no Pod of others runs in it."""
    if given["create_namespace"] and given["namespace"] in given["pull_secrets"]:
        got = Described(f"{given['namespace']!r}, which is made for the registry alone")
        remedy = "leave it out, or set `create_namespace` to false if it is there already"
        raise InvalidInput("pull_secrets", "namespaces that are there before", got, remedy)


def only_ours(namespace: str, ours: str, present: Collection[str]) -> str:
    """The name of our Secret, if the namespace's default ServiceAccount has no other one that we would throw away."""
    if others := [each for each in present if each != ours]:
        must = f"false where others gave the default ServiceAccount of {namespace!r} pull Secrets"
        remedy = (
            f"set it to false; name {ours} in the Pods' `imagePullSecrets`, or add it where {others[0]} is added from"
        )
        raise InvalidInput("default_pull_secret", must, Described(", ".join(others)), remedy)
    return ours
