"""The registry's own configuration file, in place of the image's, which logs at debug and opens a debug port (3.x)."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi

from ..args import PrivateRegistryArgs

PORT = 5000
"""Where the registry listens inside its Pod, whatever the Service's port."""

METRICS_PORT = 5001
"""Of the debug server: metrics, and profiles too, so never on the Service that clients use."""

FILE = "config.yml"
UPSTREAM_CA = "upstream-ca.pem"

PURGE_INTERVAL = "6h"
"""Between two looks for unfinished uploads; by default a full disk would free itself after eight days."""


def configuration(
    given: PrivateRegistryArgs,
    driver: pulumi.Input[Mapping[str, Any]],
    http_secret: pulumi.Input[str],
    endpoint: pulumi.Input[str],
) -> pulumi.Output[str]:
    """The file, as JSON, which every YAML reader takes, so that no secret needs quoting; as secret as its parts."""
    known = pulumi.Output.all(
        driver=driver,
        http_secret=http_secret,
        endpoint=endpoint,
        mirror={key: given.get(f"mirror_{key}") for key in ("of", "username", "password")},
    )
    return known.apply(lambda parts: json.dumps(_file(given, **parts), indent=1))


def _file(
    given: PrivateRegistryArgs,
    driver: Mapping[str, Any],
    http_secret: str,
    endpoint: str,
    mirror: Mapping[str, str | None],
) -> dict[str, Any]:
    return {
        "version": "0.1",
        "log": {"level": given["log_level"], "formatter": given["log_format"]},
        "storage": {**driver, **_care(given)},
        "http": {**_http(http_secret), **_host(given, endpoint), **_debug(given)},
        **_proxy(mirror),
    }


def _care(given: PrivateRegistryArgs) -> dict[str, Any]:
    purging = {"enabled": True, "age": f"{given['upload_hours']}h", "interval": PURGE_INTERVAL, "dryrun": False}
    return {
        "delete": {"enabled": given["allow_delete"]},
        "maintenance": {"uploadpurging": purging, "readonly": {"enabled": given["mode"] == "read-only"}},
    }


def _http(secret: str) -> dict[str, Any]:
    """draintimeout: pushes in flight finish before the Pod goes. secret: an upload resumes after a restart, or at
    another replica. No HTTP/2: it halves the speed of large pulls."""
    return {
        "addr": f":{PORT}",
        "secret": secret,
        "draintimeout": "20s",
        "http2": {"disabled": True},
        "headers": {"X-Content-Type-Options": ["nosniff"]},
    }


def _host(given: PrivateRegistryArgs, endpoint: str) -> dict[str, Any]:
    """Where an upload goes on. Without it the registry says what the client typed, which is right for every name that
    it has; behind an Ingress it cannot know."""
    return {"host": f"https://{endpoint}"} if given["exposure"] == "ingress" else {}


def _debug(given: PrivateRegistryArgs) -> dict[str, Any]:
    if not given["metrics"]:
        return {}
    return {"debug": {"addr": f":{METRICS_PORT}", "prometheus": {"enabled": True, "path": "/metrics"}}}


def _proxy(mirror: Mapping[str, str | None]) -> dict[str, Any]:
    if mirror["of"] is None:
        return {}
    login = {key: mirror[key] for key in ("username", "password") if mirror[key] is not None}
    return {"proxy": {"remoteurl": mirror["of"], **login}}
