"""Images in an object store that speaks S3: nothing is mounted, and any number of replicas share it."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from ..args import PrivateRegistryArgs
from ..metadata import Metadata
from ..validation.secrets import opened

KEYS = {"access-key": "accesskey", "secret-key": "secretkey"}
"""Of an existing Secret, and what the registry's driver calls them."""


def driver(
    name: str, given: PrivateRegistryArgs, metadata: Metadata, parent: pulumi.Resource
) -> pulumi.Output[Mapping[str, Any]]:
    """The registry's own words for the bucket. Clients never talk to it: its name and CA are not theirs to know."""
    return pulumi.Output.all(
        bucket=given["s3_bucket"],
        region=given["s3_region"],
        endpoint=given.get("s3_endpoint"),
        prefix=given.get("s3_prefix"),
        keys=_keys(name, given, metadata, parent),
    ).apply(lambda known: _driver(**known))


def _driver(
    bucket: str, region: str, endpoint: str | None, prefix: str | None, keys: Mapping[str, str]
) -> Mapping[str, Any]:
    elsewhere = {"regionendpoint": endpoint, "forcepathstyle": True} if endpoint else {}
    is_secure = not (endpoint or "").startswith("http://")
    root = {"rootdirectory": f"/{prefix}"} if prefix else {}
    return {
        "s3": {"bucket": bucket, "region": region, "secure": is_secure, **elsewhere, **root, **keys},
        "redirect": {"disable": True},
    }


def _keys(
    name: str, given: PrivateRegistryArgs, metadata: Metadata, parent: pulumi.Resource
) -> pulumi.Input[Mapping[str, Any]]:
    """The access key, from the config or from an existing Secret; neither where the node or a role brings one."""
    if given.get("s3_secret") is None:
        return {KEYS[each]: given[key] for each, key in _GIVEN.items() if given.get(key) is not None}  # type: ignore[literal-required]
    found = kubernetes.core.v1.Secret.get(
        f"{name}-from-kubectl-get-secrets",
        metadata.id_of(given["s3_secret"]),
        opts=pulumi.ResourceOptions(parent=parent),
    )
    return found.data.apply(_opened)  # as secret as the data of every Secret


_GIVEN = {"access-key": "s3_access_key", "secret-key": "s3_secret_key"}


def _opened(data: Mapping[str, str] | None) -> Mapping[str, str]:
    remedy = "`kubectl create secret generic NAME --from-literal=access-key=... --from-literal=secret-key=...`"
    texts = opened("s3_secret", data, KEYS, remedy)
    return {KEYS[key]: texts[key] for key in KEYS}
