"""CNCF Distribution: parts of its configuration and of its container, for the registry and for those of a backup."""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pulumi
from pulumi_kubernetes.core.v1 import EnvVarArgsDict

from .settings import WorkloadSettings
from .upstreams import GOOGLE, never_proxied
from .validation.quantities import amount

DRIVER_KEYS = {"access-key": "accesskey", "secret-key": "secretkey"}
"""Keys of an existing Secret, and their names in the registry's S3 driver."""

STORE_URLS: Mapping[str, Callable[[Mapping[str, Any]], str | None]] = {
    "s3": lambda parameters: parameters.get("regionendpoint"),
    "azure": lambda parameters: parameters.get("serviceurl"),
    "gcs": lambda _: GOOGLE,
}
"""Functions that return the URL of the object store by the parameters of its driver, or None if the driver finds it."""

PART_BYTES = 5 * 2**20
"""Size of the parts of an upload, the least that S3 accepts. Google takes multiples of 256 KiB.

The S3 driver holds two parts of each layer in flight.

S3 takes 10,000 parts, so a layer may have 48 GiB. With the driver's default of 10 MiB, 64 layers of 32 MiB at once take
2.2 GiB of memory, and with 5 MiB and GOMEMLIMIT 0.9 GiB."""


MEMORY_SHARE = Decimal("0.85")
"""Share of the memory limit above which Go's garbage collector works harder.

Without it, the collector would wait too long during a burst of pushes, and the kernel would end the container."""

NO_TRACES = {"OTEL_TRACES_EXPORTER": "none"}
"""Variable that disables the traces of 3.x, which need a server."""

PROXY_FILES = {"http": "http-proxy", "https": "https-proxy"}
"""Keys of the proxies' URLs in the configuration's Secret. The Pod refers to the keys, because a URL may be secret."""


def render(file: Mapping[str, Any]) -> str:
    """Return the file as JSON, which is YAML too and needs no quoting of secrets.

    Go's YAML reader refuses the surrogate pairs of JSON, so characters outside of ASCII are not escaped.
    """
    return json.dumps(file, indent=1, ensure_ascii=False)


def s3_section(
    bucket: str,
    region: str,
    endpoint: str | None,
    prefix: str | None,
    keys: Mapping[str, str],
    *,
    objects: Mapping[str, Any] | None = None,
    redirect: bool = False,
) -> Mapping[str, Any]:
    """Return the section for a bucket of S3. `keys` are those of the driver, and `objects` its options for new objects.

    `redirect` means that clients download layers from the bucket.
    """
    server = {"regionendpoint": endpoint, "forcepathstyle": True} if endpoint else {}
    is_secure = not (endpoint or "").startswith("http://")
    parameters = {"bucket": bucket, "region": region, "secure": is_secure, "chunksize": PART_BYTES}
    more = {**server, **root_directory(prefix), **(objects or {}), **keys}
    return {"s3": {**parameters, **more}, "redirect": {"disable": not redirect}}


def root_directory(prefix: str | None) -> Mapping[str, str]:
    """Return the parameter of a driver for a folder in the object store. Without a prefix the images are in its root.

    The parameter begins with a slash, and the names of the objects do not.
    """
    return {"rootdirectory": f"/{prefix}"} if prefix else {}


def find_store(driver: Mapping[str, Any]) -> str | None:
    """Return the name of an object store's driver, or None for a file system."""
    return next((name for name in STORE_URLS if name in driver), None)


def memory_limit(limits: pulumi.Input[dict[str, str]]) -> EnvVarArgsDict:
    """Return the variable for Go's garbage collector, in bytes. It is "off" without a memory limit."""

    def share(known: Mapping[str, str]) -> str:
        if "memory" not in known:
            return "off"
        return str(int(MEMORY_SHARE * amount("limits.memory", known["memory"], "")))

    return {"name": "GOMEMLIMIT", "value": pulumi.Output.from_input(limits).apply(share)}


def proxy_variables(secret: pulumi.Input[str], no_proxy: pulumi.Input[str] | None) -> list[EnvVarArgsDict]:
    """Return the variables that Go's HTTP client takes a proxy from. A missing URL in the Secret sets no variable."""
    if no_proxy is None:
        return []
    proxies: list[EnvVarArgsDict] = [
        {
            "name": f"{scheme.upper()}_PROXY",
            "value_from": {"secret_key_ref": {"name": secret, "key": key, "optional": True}},
        }
        for scheme, key in PROXY_FILES.items()
    ]
    return [*proxies, {"name": "NO_PROXY", "value": no_proxy}]


def proxy_files(proxies: Mapping[str, str]) -> dict[str, str]:
    """Return the files of a Secret with the URLs of the proxies, which variables of the Pod refer to."""
    return {name: proxies[scheme] for scheme, name in PROXY_FILES.items() if scheme in proxies}


def no_proxy_value(settings: WorkloadSettings, upstreams: pulumi.Output[list[str]]) -> pulumi.Output[str] | None:
    """Return the value of NO_PROXY, or None without an outbound proxy. It is public, unlike the URL of a proxy."""
    if settings.outbound_proxy is None:
        return None
    values = pulumi.Output.all(settings.outbound_proxy, upstreams)
    return pulumi.Output.unsecret(values.apply(lambda known: never_proxied(*known)))
