"""Pull Secrets: what lets Pods of other namespaces pull, and with `default_pull_secret` without saying so themselves.

A Secret whose data changes is replaced by the provider, and one of a fixed name is deleted first: for a moment no Pod
could pull. So the Secret is made once, with its first content, and a patch that the API server applies in place keeps
it current. Neither namespaces nor ServiceAccounts are made here, and of a ServiceAccount nothing of others is touched.
"""

import json
from base64 import b64encode

import pulumi
import pulumi_kubernetes as kubernetes

from .args import PrivateRegistryArgs
from .metadata import Metadata
from .validation.collisions import claim
from .validation.network import spellings
from .validation.pulling import only_ours

KEY = ".dockerconfigjson"
"""What the kubelet reads in a Secret of type kubernetes.io/dockerconfigjson."""


def hand_out(
    name: str,
    given: PrivateRegistryArgs,
    endpoint: pulumi.Output[str],
    login: tuple[pulumi.Output[str], pulumi.Output[str]],
    metadata: Metadata,
    opts: pulumi.ResourceOptions,
) -> None:
    """In each namespace of `pull_secrets` a Secret with `login`, user and password, named after the registry's own
    namespace, so that two registries may both put one there."""
    content = pulumi.Output.all(endpoint, *login).apply(lambda known: docker_config(*known))
    ours = pulumi.Output.concat(metadata.namespace, "-pull")
    for namespace in given["pull_secrets"]:
        of_it = f"{name}-pull-secrets-{namespace}"
        secret = _secret(of_it, namespace, ours, content, metadata, opts)
        if given["default_pull_secret"]:
            claim("default_pull_secret", f"the default ServiceAccount of {namespace}", name)
            _use(f"{of_it}-default", namespace, ours, secret, opts)


def docker_config(endpoint: str, username: str, password: str) -> str:
    """What `docker login` writes, for every way to spell the registry in an image's reference."""
    auth = b64encode(f"{username}:{password}".encode()).decode()
    login = {"username": username, "password": password, "auth": auth}
    return json.dumps({"auths": dict.fromkeys(spellings(endpoint), login)})


def _secret(
    name: str,
    namespace: str,
    ours: pulumi.Output[str],
    content: pulumi.Output[str],
    metadata: Metadata,
    opts: pulumi.ResourceOptions,
) -> kubernetes.core.v1.Secret:
    """The Secret, and what keeps it current. Without its namespace `pulumi preview` fails: the engine then says
    "Namespace (NAME): resource 'x' does not exist", of which NAME is ours and tells the remedy."""
    found = kubernetes.core.v1.Namespace.get(f"{name}-from-kubectl-get-namespaces", namespace, opts=opts)
    data = {KEY: content.apply(lambda text: b64encode(text.encode()).decode())}
    secret = kubernetes.core.v1.Secret(
        name,
        metadata=metadata.of(ours) | {"namespace": found.metadata.name},
        type="kubernetes.io/dockerconfigjson",
        data=data,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=["data"])),
    )
    kubernetes.core.v1.SecretPatch(
        f"{name}-current",
        metadata={"name": ours, "namespace": namespace, "annotations": {"pulumi.com/patchForce": "true"}},
        data=data,
        # By itself it could not let go of a key that this type of Secret must have.
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[secret], deleted_with=secret)),
    )
    return secret


def _use(
    name: str,
    namespace: str,
    ours: pulumi.Output[str],
    secret: kubernetes.core.v1.Secret,
    opts: pulumi.ResourceOptions,
) -> None:
    """Have the default ServiceAccount use the Secret, if it uses none of others.

    Its list belongs as a whole to who wrote it last: `pulumi destroy` empties a list that is still ours, and leaves one
    that somebody else has added to since, our name in it included. Where the whole namespace has gone since, it takes
    `pulumi destroy --refresh`.
    """
    looked_up = f"{name}-from-kubectl-get-serviceaccounts"
    found = kubernetes.core.v1.ServiceAccount.get(looked_up, f"{namespace}/default", opts=opts)
    used = pulumi.Output.all(ours, found.image_pull_secrets).apply(
        lambda known: only_ours(namespace, known[0], [each["name"] for each in known[1] or []])
    )
    kubernetes.core.v1.ServiceAccountPatch(
        name,
        metadata={"name": "default", "namespace": namespace},
        image_pull_secrets=[{"name": used}],
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[secret])),
    )
