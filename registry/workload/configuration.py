"""The registry's configuration file. It replaces the image's, which logs at debug and opens a debug port (3.x)."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi

from ..settings import MirrorSettings, ServingSettings

PORT = 5000
"""Port of the registry in its Pod. The Service may have another one."""

METRICS_PORT = 5001
"""Port of the debug server. It serves profiles as well as metrics, so it is never on the Service for clients."""

FILE_NAME = "config.yml"
UPSTREAM_CA_FILE = "upstream-ca.pem"

UPLOAD_PURGE_INTERVAL = "6h"
"""Interval of the upload purge. With the default a full disk would take eight days to recover."""

DRAIN_TIMEOUT = "20s"
"""Time for pushes in flight to finish before the Pod ends."""


def configuration(
    settings: ServingSettings,
    driver: pulumi.Input[Mapping[str, Any]],
    http_secret: pulumi.Input[str],
    external_url: pulumi.Input[str] | None,
) -> pulumi.Output[str]:
    """Return the file. It is as secret as its parts.

    `external_url` is the URL for the next requests of an upload. Without it the registry answers with the name that
    the client typed, which is right for all its names. Behind a proxy it does not know that name.
    """
    return pulumi.Output.all(
        driver=driver,
        http_secret=http_secret,
        external_url=external_url,
        proxy=_proxy(settings.mirror),
    ).apply(lambda resolved: render(_file(settings, **resolved)))


def render(file: Mapping[str, Any]) -> str:
    """Return the file as JSON, which is YAML too and needs no quoting of secrets.

    Go's YAML reader refuses the two escapes that JSON has for an emoji, so no character above ASCII is escaped.
    """
    return json.dumps(file, indent=1, ensure_ascii=False)


def _file(
    settings: ServingSettings,
    driver: Mapping[str, Any],
    http_secret: str,
    external_url: str | None,
    proxy: Mapping[str, str],
) -> dict[str, Any]:
    file: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": settings.log_level, "formatter": settings.log_format},
        "storage": {**driver, **_storage_maintenance(settings)},
        "http": _http(settings, http_secret, external_url),
    }
    if proxy:
        file["proxy"] = proxy
    return file


def _storage_maintenance(settings: ServingSettings) -> dict[str, Any]:
    upload_purging = {
        "enabled": True,
        "age": f"{settings.upload_hours}h",
        "interval": UPLOAD_PURGE_INTERVAL,
        "dryrun": False,
    }
    return {
        "delete": {"enabled": settings.allow_delete},
        "maintenance": {"uploadpurging": upload_purging, "readonly": {"enabled": settings.mode == "read-only"}},
    }


def _http(settings: ServingSettings, http_secret: str, external_url: str | None) -> dict[str, Any]:
    """Return the HTTP section.

    The secret lets an upload continue after a restart, or at another replica. HTTP/2 would halve the speed of large
    pulls.
    """
    http: dict[str, Any] = {
        "addr": f":{PORT}",
        "secret": http_secret,
        "draintimeout": DRAIN_TIMEOUT,
        "http2": {"disabled": True},
        "headers": {"X-Content-Type-Options": ["nosniff"]},
    }
    if external_url is not None:
        http["host"] = external_url
    if settings.metrics:
        http["debug"] = {"addr": f":{METRICS_PORT}", "prometheus": {"enabled": True, "path": "/metrics"}}
    return http


def _proxy(mirror: MirrorSettings | None) -> Mapping[str, pulumi.Input[str]]:
    if mirror is None:
        return {}
    proxy = {"remoteurl": mirror.mirror_of}
    if mirror.mirror_username is not None and mirror.mirror_password is not None:
        proxy |= {"username": mirror.mirror_username, "password": mirror.mirror_password}
    return proxy
