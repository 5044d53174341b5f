"""The jobs that copy the images to a backup, and back.

Two registries run in the Pod of such a job, as sidecars that listen only there. `live` serves the storage of the
registry, and `backup` that of the backup. regsync copies from one to the other. So no user of the registry is needed,
and the backup has the layout of a registry (docs/adr/0027-backup.md).
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pulumi
from pulumi_kubernetes.core.v1 import ContainerArgsDict, EnvVarArgsDict, PodSpecArgsDict, VolumeMountArgsDict

from ..context import Context
from ..distribution import DRIVER_KEYS, NO_TRACES, memory_limit, proxy_variables, render, s3_section
from ..existing_secrets import read_existing_secret
from ..pods import NO_PRIVILEGES
from ..settings import MaintenanceSettings, WorkloadSettings
from ..upstreams import AWS
from ..validation.secrets import ExistingSecret, read_credentials

LIVE, BACKUP = "live", "backup"
"""Names of the registries in the Pod: that of the images, and that of the backup."""

PORTS = {LIVE: 5001, BACKUP: 5002}
"""Ports of the registries, on the loopback address of the Pod."""

CA_FILES = {LIVE: "live-ca.pem", BACKUP: "backup-ca.pem"}
"""Files with the CAs of the servers behind the registries."""

SECRET_NAME, SECRET_FOLDER = "maintenance-secret", "/etc/maintenance"
"""Secret of the jobs, and its mount path."""

BACKUP_PATH = "/var/lib/backup"
"""Mount path of a claim with the backup."""

TOOL_FOLDER = "/opt/regsync"
"""Folder that gets the program of `backup_image`."""

COPY_TOOL = f'cp "$(command -v regsync)" {TOOL_FOLDER}/'
"""Shell command that copies the program."""

LOGIN_KEYS = ("username", "password")
"""Keys of an existing Secret for a registry (type kubernetes.io/basic-auth)."""


def backup_servers(settings: MaintenanceSettings) -> list[str]:
    """Return the URLs of the servers that a backup connects to, apart from those of the registry itself."""
    kind, place = _place(settings)
    if kind == "s3":
        return [place.get("endpoint", AWS)]
    return [place["url"]] if kind == "registry" else []


def backup_place(ctx: Context, settings: MaintenanceSettings) -> pulumi.Output[dict[str, Any]]:
    """Return the settings of the backup's place, or an empty map without a backup.

    `program` are the settings of the program. `driver` is the storage section of the registry that serves the backup,
    or None if the place is another registry. `ca_pem` are the CAs of the server.
    """
    kind, place = _place(settings)
    if not kind:
        return pulumi.Output.from_input({})
    return pulumi.Output.all(login=_login(ctx, settings, kind), ca_pem=settings.backup_ca or "").apply(
        lambda known: _resolved_place(kind, place, **known)
    )


def _place(settings: MaintenanceSettings) -> tuple[str, Any]:
    """Return the kind of the place, and its settings. The kind is "" without a backup."""
    if settings.backup is None:
        return "", {}
    ((kind, place),) = settings.backup["to"].items()
    return kind, place


def _resolved_place(kind: str, place: Any, login: Sequence[str], ca_pem: str) -> dict[str, Any]:
    driver: Mapping[str, Any] | None = None
    folder: dict[str, str] = {}
    backup: dict[str, Any] = _own_server(BACKUP)
    if kind == "claim":
        driver, folder = {"filesystem": {"rootdirectory": BACKUP_PATH}}, {"folder": BACKUP_PATH}
    elif kind == "s3":
        keys = dict(zip(DRIVER_KEYS.values(), login, strict=True))
        driver = s3_section(place["bucket"], place["region"], place.get("endpoint"), place.get("prefix"), keys)
    else:
        username, password = login or ("", "")
        backup = {"url": place["url"], "prefix": place.get("prefix", "")}
        backup |= {"username": username, "password": password, "ca_pem": ca_pem}
    program = {"live": _own_server(LIVE), "backup": backup, "regsync": f"{TOOL_FOLDER}/regsync"}
    return {"program": {**program, "storage": folder}, "driver": driver, "ca_pem": ca_pem}


def _own_server(registry: str) -> dict[str, Any]:
    return {"url": f"http://127.0.0.1:{PORTS[registry]}", "container": registry}


def _login(ctx: Context, settings: MaintenanceSettings, kind: str) -> pulumi.Output[list[str]]:
    """Return user and password, or the two parts of an access key, of the config or of an existing Secret."""
    if settings.backup_secret is None:
        parts = [settings.backup_user, settings.backup_password]
        return pulumi.Output.all(*(part for part in parts if part is not None))
    names = tuple(DRIVER_KEYS) if kind == "s3" else LOGIN_KEYS

    def read(secret: ExistingSecret, data: Mapping[str, str] | None) -> list[str]:
        keys = read_credentials(secret, data)
        return [keys[key] for key in names]

    return read_existing_secret(ctx, f"{ctx.name}-backup", "backup_secret", settings.backup_secret, names, read)


def backup_files(
    settings: MaintenanceSettings,
    workload: WorkloadSettings,
    live_driver: pulumi.Input[Mapping[str, Any]],
    place: pulumi.Output[dict[str, Any]],
) -> pulumi.Output[dict[str, str]]:
    """Return the files of the registries in the Pod: a configuration for each registry and role, and CAs."""
    if settings.backup is None:
        return pulumi.Output.from_input({})
    return pulumi.Output.all(
        live=live_driver, place=place, live_ca=workload.upstream_ca or "", backup_ca=settings.backup_ca or ""
    ).apply(lambda known: _files(**known))


def _files(live: Mapping[str, Any], place: Mapping[str, Any], live_ca: str, backup_ca: str) -> dict[str, str]:
    drivers = {LIVE: live, BACKUP: place["driver"]}
    files = {
        _file_name(registry, is_source=is_source): render(_configuration(driver, PORTS[registry], is_source=is_source))
        for registry, driver in drivers.items()
        if driver is not None
        for is_source in (True, False)
    }
    certificates = {LIVE: live_ca, BACKUP: backup_ca}
    return files | {CA_FILES[registry]: pem for registry, pem in certificates.items() if pem}


def _file_name(registry: str, *, is_source: bool) -> str:
    return f"{registry}-{'source' if is_source else 'target'}.yml"


def _configuration(driver: Mapping[str, Any], port: int, *, is_source: bool) -> dict[str, Any]:
    """Return the configuration of a registry in the Pod. A source is read-only."""
    maintenance = {"uploadpurging": {"enabled": False}, "readonly": {"enabled": is_source}}
    return {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {**driver, "maintenance": maintenance},
        "http": {"addr": f"127.0.0.1:{port}"},
    }


def add_registries(
    spec: PodSpecArgsDict,
    settings: MaintenanceSettings,
    workload: WorkloadSettings,
    claim: pulumi.Input[str] | None,
    claim_path: str,
    no_proxy: pulumi.Input[str] | None,
    *,
    task: str,
) -> None:
    """Add the registries and the tool to the Pod of a task, backup or restore.

    `claim` is that of the images, and `claim_path` its mount path. `no_proxy` is the value of NO_PROXY, if any.
    """
    kind, place = _place(settings)
    volumes, containers = cast(list[Any], spec["volumes"]), cast(list[Any], spec["containers"])
    live_mounts: list[VolumeMountArgsDict] = []
    if claim is not None:
        live_mounts = [{"name": "repository", "mount_path": claim_path, "read_only": task == "backup"}]
    sidecars = [_registry(LIVE, live_mounts, settings, workload, no_proxy, is_source=task == "backup")]
    if kind != "registry":
        mounts: list[VolumeMountArgsDict] = []
        if kind == "claim":
            mounts = [{"name": "backup", "mount_path": BACKUP_PATH}]
            volumes.append({"name": "backup", "persistent_volume_claim": {"claim_name": place}})
            containers[0]["volume_mounts"] += mounts
        sidecars.append(_registry(BACKUP, mounts, settings, workload, no_proxy, is_source=task == "restore"))
    spec["init_containers"] = [*sidecars, _tool(settings, workload)]
    volumes.append({"name": "tool", "empty_dir": {}})
    containers[0]["volume_mounts"].append({"name": "tool", "mount_path": TOOL_FOLDER, "read_only": True})
    containers[0]["env"] = proxy_variables(SECRET_NAME, no_proxy)


def _registry(
    name: str,
    mounts: Sequence[VolumeMountArgsDict],
    settings: MaintenanceSettings,
    workload: WorkloadSettings,
    no_proxy: pulumi.Input[str] | None,
    *,
    is_source: bool,
) -> ContainerArgsDict:
    """Return a sidecar with a registry. The program waits for it, because no probe reaches a loopback address."""
    variables: dict[str, str] = dict(NO_TRACES)
    if (workload.upstream_ca if name == LIVE else settings.backup_ca) is not None:
        variables["SSL_CERT_FILE"] = f"{SECRET_FOLDER}/{CA_FILES[name]}"
    env: list[EnvVarArgsDict] = [{"name": key, "value": value} for key, value in variables.items()]
    return {
        "name": name,
        "image": workload.image,
        "image_pull_policy": workload.image_pull_policy,
        "restart_policy": "Always",  # a sidecar: it starts before the other containers, and ends after them
        "args": ["serve", f"{SECRET_FOLDER}/{_file_name(name, is_source=is_source)}"],
        "env": [*env, memory_limit(settings.maintenance_limits), *proxy_variables(SECRET_NAME, no_proxy)],
        "volume_mounts": [*mounts, {"name": "settings", "mount_path": SECRET_FOLDER, "read_only": True}],
        "resources": {"requests": settings.maintenance_requests, "limits": settings.maintenance_limits},
        "security_context": NO_PRIVILEGES,
    }


def _tool(settings: MaintenanceSettings, workload: WorkloadSettings) -> ContainerArgsDict:
    """Return the container that copies regsync to the folder where the program runs it."""
    return {
        "name": "tool",
        "image": settings.backup_image,
        "image_pull_policy": workload.image_pull_policy,
        "command": ["sh", "-c", COPY_TOOL],
        "volume_mounts": [{"name": "tool", "mount_path": TOOL_FOLDER}],
        "resources": {"requests": settings.maintenance_requests, "limits": settings.maintenance_limits},
        "security_context": NO_PRIVILEGES,
    }
