"""The registry's configuration file.

The file of the image logs at debug and opens a debug port (3.x), so the component mounts its own.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pulumi

from ..distribution import STORE_URLS, find_store, render
from ..settings import MirrorSettings, ServingSettings
from ..upstreams import server_port

PORT = 5000
"""Port of the registry in its Pod. The Service may have another one."""

METRICS_PORT = 5001
"""Port of the debug server. It serves profiles as well as metrics, so it is never on the Service for clients."""

SOCKET_FOLDER = "/run/registry"

SOCKET = f"{SOCKET_FOLDER}/registry.sock"
"""Path of the Unix socket of a registry behind the proxy. It has no port for clients, who cannot bypass the proxy."""

FILE_NAME = "config.yml"
UPSTREAM_CA_FILE = "upstream-ca.pem"

KEYS_FILE = "jwks.json"
"""Public keys of the issuer of tokens."""

CONFIGURATION_FOLDER = "/etc/distribution"
"""Mount path of the configuration's Secret."""

UPSTREAM_LOGIN_FILE = "upstream-login"
"""File name of the program that prints the credentials for the upstream, as Docker's credential helpers do.

With it, a mirror contacts its upstream at the first pull. Without it, a mirror contacts the upstream at its start, and
exits if there is no answer (CNCF Distribution 3, registry/proxy/proxyauth.go)."""

CHECK_INTERVAL_SECONDS = 3
"""Seconds between two checks of the object store, and from the start to the first one.

AWS bills each one: 0.9 million a month cost 4 dollars (0.005 dollars for 1,000 requests of LIST)."""

CONNECT_INTERVAL_SECONDS, CONNECT_TIMEOUT_SECONDS = 1, 2
"""Seconds between two attempts to connect to the store, and the timeout of one. The S3 client has two minutes."""

FIRST_CHECK_SECONDS = 2 + max(CHECK_INTERVAL_SECONDS, CONNECT_INTERVAL_SECONDS + CONNECT_TIMEOUT_SECONDS)
"""Seconds from the start until the registry has checked its object store. Until then it reports that it is healthy.

Two of these seconds are for requests that the S3 client repeats."""

UPLOAD_PURGE_INTERVAL = "1h"
"""Interval of the upload purge. An unfinished upload is deleted at most this time after it is `upload_hours` old.

After a start it may take an hour longer (CNCF Distribution, handlers.startUploadPurger)."""

DRAIN_SECONDS = 20
"""Seconds that the open requests of a stopping Pod may take to finish. The kubelet kills it after 30."""

DRAIN_SECONDS_ALONE = 5
"""The same if the new Pod starts only after the old one has ended. Every second of them interrupts the service.

A push in chunks continues after the interruption."""


def drain_seconds(workload: str, *, pods_overlap: bool) -> int:
    """Return the seconds that the open requests of a stopping Pod may take to finish.

    `pods_overlap` means that a new Pod can use the storage while the old one runs.
    """
    return DRAIN_SECONDS if workload == "deployment" and pods_overlap else DRAIN_SECONDS_ALONE


def configuration(
    settings: ServingSettings,
    driver: pulumi.Input[Mapping[str, Any]],
    http_secret: pulumi.Input[str],
    external_url: pulumi.Input[str] | None,
    *,
    drain_seconds: int,
    is_direct: bool,
    has_front: bool,
    logs_requests: bool,
) -> pulumi.Output[str]:
    """Return the content of the file, a secret because `http_secret` is one.

    When the Pod stops, its open requests may take `drain_seconds` to finish.
    `has_front` means that clients connect to a proxy in the Pod.
    `logs_requests` means that the registry logs the requests, because no proxy does.
    `is_direct` means that the registry connects to its object store without an outbound proxy.
    `external_url` is the URL for the next requests of an upload. If it is None, the registry takes the name that the
    client typed. An Ingress controller may pass on another name, so behind an Ingress the URL is set.
    """
    return pulumi.Output.all(
        driver=driver,
        http_secret=http_secret,
        external_url=external_url,
        upstream=_upstream(settings.mirror),
    ).apply(lambda resolved: render(_file(settings, drain_seconds, is_direct, has_front, logs_requests, **resolved)))


def login_script(mirror: MirrorSettings) -> pulumi.Output[str]:
    """Return a shell script that prints the login of the upstream as JSON. Without a login both values are empty."""
    login = pulumi.Output.all(Username=mirror.mirror_username or "", Secret=mirror.mirror_password or "")
    return login.apply(lambda resolved: f"#!/bin/sh\ncat <<'END'\n{json.dumps(resolved)}\nEND\n")


def _file(
    settings: ServingSettings,
    drain_seconds: int,
    is_direct: bool,
    has_front: bool,
    logs_requests: bool,
    driver: Mapping[str, Any],
    http_secret: str,
    external_url: str | None,
    upstream: Mapping[str, str],
) -> dict[str, Any]:
    file: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": settings.log_level, "formatter": settings.log_format},
        "storage": {**driver, **_storage_maintenance(settings)},
        "http": {**_http(settings, drain_seconds, http_secret, external_url), **_address(has_front=has_front)},
    }
    if not logs_requests:  # the proxy logs the requests with their users, whom the registry does not know
        file["log"]["accesslog"] = {"disabled": True}
    if settings.token is not None:
        file["auth"] = {"token": _token(settings.token)}
    if upstream:  # the section of a mirror is called proxy
        file["proxy"] = {**upstream, "exec": {"command": f"{CONFIGURATION_FOLDER}/{UPSTREAM_LOGIN_FILE}"}}
    if store := find_store(driver):
        file["health"] = _health(STORE_URLS[store](driver[store]) if is_direct else None)
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


def _http(settings: ServingSettings, drain_seconds: int, http_secret: str, external_url: str | None) -> dict[str, Any]:
    """Return the HTTP section.

    The secret lets an upload continue after a restart, or at another replica. HTTP/2 would halve the speed of large
    pulls.
    """
    http: dict[str, Any] = {
        "secret": http_secret,
        "draintimeout": f"{drain_seconds}s",
        "http2": {"disabled": True},
        "headers": {"X-Content-Type-Options": ["nosniff"]},
    }
    if external_url is not None:
        http["host"] = external_url
    if settings.metrics:
        http["debug"] = {"addr": f":{METRICS_PORT}", "prometheus": {"enabled": True, "path": "/metrics"}}
    return http


def _address(*, has_front: bool) -> dict[str, str]:
    return {"net": "unix", "addr": SOCKET} if has_front else {"addr": f":{PORT}"}


def _token(token: Mapping[str, str]) -> dict[str, str]:
    """Return the section for tokens of an external issuer."""
    names = {"realm": token["realm"], "service": token["service"], "issuer": token["issuer"]}
    return {**names, "jwks": f"{CONFIGURATION_FOLDER}/{KEYS_FILE}"}


def _health(endpoint: str | None) -> dict[str, Any]:
    """Return the checks of the object store. If one fails, the registry answers 503 to every request.

    With the URL of an `endpoint`, its port is checked too, because the client of an object store notices a lost server
    much later.
    """
    health: dict[str, Any] = {"storagedriver": {"enabled": True, "interval": f"{CHECK_INTERVAL_SECONDS}s"}}
    if endpoint:
        host = urlsplit(endpoint).hostname or ""
        connection = {
            "addr": f"[{host}]:{server_port(endpoint)}" if ":" in host else f"{host}:{server_port(endpoint)}",
            "interval": f"{CONNECT_INTERVAL_SECONDS}s",
            "timeout": f"{CONNECT_TIMEOUT_SECONDS}s",
        }
        health["tcp"] = [connection]
    return health


def _upstream(mirror: MirrorSettings | None) -> Mapping[str, pulumi.Input[str]]:
    """Return the URL of the upstream with the credentials, or {}. Distribution 2 does not run the program."""
    if mirror is None:
        return {}
    upstream = {"remoteurl": mirror.mirror_of}
    if mirror.mirror_username is not None and mirror.mirror_password is not None:
        upstream |= {"username": mirror.mirror_username, "password": mirror.mirror_password}
    return upstream
