"""Pull Secrets, which let Pods of other namespaces pull. With `default_pull_secret` those Pods need not name them.

The provider replaces a Secret whose data changes, and deletes one with a fixed name first: for a moment no Pod could
pull. So the Secret is created once, with its first content, and a patch keeps it current in place. The component
creates neither namespaces nor ServiceAccounts here, and keeps their other fields.
"""

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any, NamedTuple

import pulumi
import pulumi_kubernetes as kubernetes

from .context import PATCH_FORCE, Context
from .lookup import FoundObjects
from .settings import PullSecretSettings
from .validation.network import image_reference_hosts
from .validation.pull_secrets import refuse_other_pull_secrets

DATA_KEY = ".dockerconfigjson"
"""Key that the kubelet reads in a Secret of type kubernetes.io/dockerconfigjson."""


class Login(NamedTuple):
    """A login. The registry accepts it once `accepted_after` is deployed."""

    username: pulumi.Output[str]
    password: pulumi.Output[str]
    accepted_after: pulumi.Resource


def create_pull_secrets(
    ctx: Context,
    settings: PullSecretSettings,
    endpoint: pulumi.Output[str],
    login: Login,
    found: pulumi.Output[FoundObjects],
) -> None:
    """Create a Secret with the login in each namespace.

    It is named after the registry's namespace, so that two registries can both have one there. `found` has the default
    ServiceAccounts of the namespaces.
    """
    content = pulumi.Output.all(endpoint, login.username, login.password).apply(
        lambda resolved: docker_config(*resolved)
    )
    secret_name = pulumi.Output.concat(ctx.namespace, "-pull")
    for namespace in settings.pull_secrets:
        name = f"{ctx.name}-pull-secrets-{namespace}"
        secret = _create_secret(ctx, name, namespace, secret_name, content, login.accepted_after)
        if settings.default_pull_secret:
            allowed = _allowed_name(namespace, secret_name, found)
            _add_to_default_account(ctx, f"{name}-default", namespace, allowed, after=[login.accepted_after, secret])


def docker_config(endpoint: str, username: str, password: str) -> str:
    """Return what `docker login` writes, for every way to name the registry in an image reference."""
    auth = b64encode(f"{username}:{password}".encode()).decode()
    login = {"username": username, "password": password, "auth": auth}
    return json.dumps({"auths": dict.fromkeys(image_reference_hosts(endpoint), login)})


def _create_secret(
    ctx: Context,
    name: str,
    namespace: str,
    secret_name: pulumi.Output[str],
    content: pulumi.Output[str],
    after: pulumi.Resource,
) -> kubernetes.core.v1.Secret:
    """Create the Secret, and the patch that keeps it current."""
    data = {DATA_KEY: content.apply(lambda text: b64encode(text.encode()).decode())}
    secret = kubernetes.core.v1.Secret(
        name,
        metadata=ctx.metadata(secret_name) | {"namespace": namespace},
        type="kubernetes.io/dockerconfigjson",
        data=data,
        opts=ctx.options(depends_on=[after], ignore_changes=["data"]),
    )
    kubernetes.core.v1.SecretPatch(
        f"{name}-current",
        metadata={
            "name": secret_name,
            "namespace": namespace,
            "annotations": PATCH_FORCE,
        },
        data=data,
        # The patch alone could not be deleted, because this type of Secret must have the key.
        opts=ctx.options(depends_on=[after, secret], deleted_with=secret),
    )
    return secret


def _allowed_name(
    namespace: str, secret_name: pulumi.Output[str], found: pulumi.Output[FoundObjects]
) -> pulumi.Output[str]:
    """Return the Secret's name, unless the default ServiceAccount uses another Secret."""

    def check(resolved: Sequence[Any]) -> str:
        name, objects = resolved
        existing = (objects.accounts.get(namespace) or {}).get("imagePullSecrets") or []
        return refuse_other_pull_secrets(namespace, name, [item["name"] for item in existing])

    return pulumi.Output.all(secret_name, found).apply(check)


def _add_to_default_account(
    ctx: Context, name: str, namespace: str, secret_name: pulumi.Output[str], *, after: Sequence[pulumi.Resource]
) -> None:
    """Let the default ServiceAccount use the Secret.

    The whole list belongs to the program that wrote it last. `pulumi destroy` empties a list that this stack wrote
    last, and leaves one that was changed since. After the namespace was deleted, run `pulumi destroy --refresh`.
    """
    kubernetes.core.v1.ServiceAccountPatch(
        name,
        metadata={"name": "default", "namespace": namespace},
        image_pull_secrets=[{"name": secret_name}],
        opts=ctx.options(depends_on=after),
    )
