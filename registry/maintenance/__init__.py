"""The maintenance jobs: CronJobs that free space, look for damage and copy the images while the registry runs.

Their program is in `job/`. It runs from a ConfigMap in an image of Python, so there is no image to build
(docs/adr/0024-maintenance.md).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.batch.v1 import CronJobSpecArgsDict
from pulumi_kubernetes.core.v1 import (
    AffinityArgsDict,
    PodSpecArgsDict,
    VolumeMountArgsDict,
)

from ..choices import S3StorageClass
from ..context import Context
from ..distribution import no_proxy_value, proxy_files
from ..pods import CONFIG_CHECKSUM, base_pod_spec, checksum
from ..program import Program, program_container, program_volumes
from ..settings import MaintenanceSettings, StorageSettings, WorkloadSettings
from ..upstreams import egress_rules, never_proxied
from ..validation.backup import TIMEOUT as BACKUP_TIMEOUT
from ..validation.maintenance import SCRUB_DAYS, TIMEOUT, duration_seconds, rule_patterns
from .backup import SECRET_FOLDER, SECRET_NAME, add_registries, backup_files, backup_place, backup_servers
from .job import DAMAGE_REMAINS

APP = "docker-registry-maintenance"
"""Name in the labels of the jobs. With the registry's name, its Service would send clients to them."""

PROGRAM = Path(__file__).with_name("job")
"""Folder of the program."""

JOB = Program(APP, SECRET_NAME, "/opt/maintenance", SECRET_FOLDER)
"""The program in the Pods of the jobs."""

TIME_ZONE = "Etc/UTC"

SCRUB_SECONDS = 24 * 3600
"""Seconds that a scrub may take. The next scrub continues there."""

STARTING_DEADLINE_SECONDS = 3600
"""Seconds that a job may start late, for example after the control plane was down."""

HISTORY = 3
"""Finished Jobs to keep, with their logs: this many that succeeded, and this many that failed."""

BACKOFF_LIMIT = 2
"""Attempts after the first one."""

CONTAINER = "maintenance"

COPYING_TASKS = ("backup", "restore")
"""Tasks that copy images between the storage of the registry and that of the backup."""


class MaintenanceInputs(NamedTuple):
    """The outputs of other parts that the jobs need.

    Attributes:
        claim: Name of the claim, or None for an object store.
        claim_path: Path of the claim in the container.
        driver: Storage section of the registry's configuration.
        node_selector: Labels of the node that has the images, or None.
        servers: URLs of the object store and of the proxies in front of it. Empty if the images are on a volume.
        upstreams: `servers` without the proxies.
        after: Resources to create first.
    """

    claim: pulumi.Input[str] | None
    claim_path: str
    driver: pulumi.Input[Mapping[str, Any]]
    node_selector: pulumi.Input[dict[str, str]] | None
    servers: pulumi.Output[list[str]]
    upstreams: pulumi.Output[list[str]]
    after: Sequence[pulumi.Resource]


def create_maintenance(
    ctx: Context,
    settings: MaintenanceSettings,
    storage: StorageSettings,
    workload: WorkloadSettings,
    inputs: MaintenanceInputs,
) -> None:
    """Create the jobs with their program, settings and NetworkPolicy."""
    registry_labels = ctx.selector
    ctx = ctx.for_workload(APP, "maintenance", settings.maintenance_image)
    own_servers = backup_servers(settings)
    inputs = inputs._replace(
        servers=_joined(inputs.servers, own_servers), upstreams=_joined(inputs.upstreams, own_servers)
    )
    place = backup_place(ctx, settings)
    program = program_files()
    config_map = kubernetes.core.v1.ConfigMap(
        f"{ctx.name}-maintenance-program", metadata=ctx.metadata(APP), data=program, opts=ctx.options()
    )
    content = pulumi.Output.all(
        driver=inputs.driver,
        ca_pem=workload.upstream_ca,
        proxies=workload.outbound_proxy or {},
        upstreams=inputs.upstreams,
        place=place,
    ).apply(lambda resolved: json.dumps(_job_settings(settings, inputs.claim_path, **resolved)))
    files = pulumi.Output.all(
        content, backup_files(settings, workload, inputs.driver, place), workload.outbound_proxy or {}
    ).apply(lambda known: {"settings.json": known[0], **known[1], **(proxy_files(known[2]) if settings.backup else {})})
    secret = kubernetes.core.v1.Secret(
        f"{ctx.name}-maintenance-settings",
        metadata=ctx.metadata(SECRET_NAME),
        string_data=files,
        opts=ctx.options(),
    )
    _create_network_policy(ctx, inputs)
    annotations = {
        # An annotation is public, and so is a checksum of secrets.
        CONFIG_CHECKSUM: pulumi.Output.unsecret(files.apply(lambda resolved: checksum((program, resolved))))
    }
    jobs = {
        "collect": (settings.collect, _seconds("collect", settings.collect, TIMEOUT)),
        "scrub": (settings.scrub, SCRUB_SECONDS),
        "backup": (settings.backup, _seconds("backup", settings.backup, BACKUP_TIMEOUT)),
        "restore": (settings.backup, _seconds("backup", settings.backup, BACKUP_TIMEOUT)),
    }
    for task, (job, seconds) in jobs.items():
        if job is not None:
            spec = _pod_spec(task, settings, storage, workload, inputs, registry_labels, files=[*program])
            if task in COPYING_TASKS:
                no_proxy = no_proxy_value(workload, inputs.upstreams)
                add_registries(spec, settings, workload, inputs.claim, inputs.claim_path, no_proxy, task=task)
            cron_job = _cron_job_spec(ctx, job["schedule"], seconds, annotations, spec)
            cron_job["suspend"] = task == "restore"  # it runs only if `ops restore` creates a Job of it
            kubernetes.batch.v1.CronJob(
                f"{ctx.name}-{task}",
                metadata=ctx.metadata(f"docker-registry-{task}"),
                spec=cron_job,
                opts=ctx.options(depends_on=[config_map, secret, *inputs.after]),
            )


def program_files() -> dict[str, str]:
    """Return the content of the program's files by name."""
    return {file.name: file.read_text() for file in sorted(PROGRAM.glob("*.py"))}


def _job_settings(
    settings: MaintenanceSettings,
    claim_path: str,
    driver: Mapping[str, Any],
    ca_pem: str | None,
    proxies: Mapping[str, str],
    upstreams: Sequence[str],
    place: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the settings that the program reads."""
    collect, scrub = settings.collect or {}, settings.scrub or {}
    backup: dict[str, Any] = {}
    if place:
        backup = {**place["program"], **_proxy_settings(proxies, upstreams)}
        if "s3" in (place["driver"] or {}):
            backup["storage"] = storage_settings("", place["driver"], place["ca_pem"], proxies, upstreams)
    return {
        **({"backup": backup} if backup else {}),
        "storage": storage_settings(claim_path, driver, ca_pem, proxies, upstreams),
        "retention": rule_patterns(settings.retention),
        "delete_untagged": collect.get("delete_untagged", False),
        "upload_hours": settings.upload_hours,
        "scrub": {"days": scrub.get("days", SCRUB_DAYS), "heal": scrub.get("heal", False)},
    }


def storage_settings(
    claim_path: str,
    driver: Mapping[str, Any],
    ca_pem: str | None,
    proxies: Mapping[str, str],
    upstreams: Sequence[str],
) -> dict[str, Any]:
    """Return the settings of the storage, as `open_storage` in job/__main__.py reads them."""
    if "s3" in driver:
        return {"s3": _s3_settings(driver["s3"], ca_pem, proxies, upstreams)}
    return {"folder": claim_path}


def _s3_settings(
    s3: Mapping[str, Any], ca_pem: str | None, proxies: Mapping[str, str], upstreams: Sequence[str]
) -> dict[str, Any]:
    """Return the fields of `S3Settings` in job/s3.py. `s3` is the section of the registry's S3 driver."""
    return {
        "bucket": s3["bucket"],
        "region": s3["region"],
        "access_key": s3["accesskey"],
        "secret_key": s3["secretkey"],
        "endpoint": s3.get("regionendpoint", ""),
        "prefix": s3.get("rootdirectory", "").removeprefix("/"),
        "ca_pem": ca_pem or "",
        "object_headers": _object_headers(s3),
        **_proxy_settings(proxies, upstreams),
    }


def _object_headers(s3: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of a request that makes an object. A bucket may refuse an object without encryption."""
    headers = {"x-amz-server-side-encryption": "aws:kms" if "keyid" in s3 else "AES256"} if s3.get("encrypt") else {}
    if "keyid" in s3:
        headers["x-amz-server-side-encryption-aws-kms-key-id"] = s3["keyid"]
    if s3.get("storageclass", S3StorageClass.NONE) != S3StorageClass.NONE:
        headers["x-amz-storage-class"] = s3["storageclass"]
    return headers


def _proxy_settings(proxies: Mapping[str, str], upstreams: Sequence[str]) -> dict[str, Any]:
    return {
        "proxies": {scheme: proxies[scheme] for scheme in ("http", "https") if scheme in proxies},
        "no_proxy": never_proxied(proxies, upstreams) if proxies else "",
    }


def _joined(urls: pulumi.Output[list[str]], more: list[str]) -> pulumi.Output[list[str]]:
    return urls.apply(lambda known: [*known, *more])


def _seconds(key: str, job: Mapping[str, Any] | None, default: str) -> int:
    """Return the seconds that a job may take."""
    return duration_seconds(f"{key}.timeout", (job or {}).get("timeout", default))


def _create_network_policy(ctx: Context, inputs: MaintenanceInputs) -> None:
    """Allow the jobs to connect to the object store, its proxies and DNS. Deny every other connection."""
    egress = pulumi.Output.all(ctx.namespace, inputs.servers).apply(
        lambda known: egress_rules(known[1], own_namespace=known[0])
    )
    kubernetes.networking.v1.NetworkPolicy(
        f"{ctx.name}-maintenance-policy",
        metadata=ctx.metadata(APP),
        spec={
            "pod_selector": {"match_labels": ctx.selector},
            "policy_types": ["Ingress", "Egress"],
            "egress": pulumi.Output.unsecret(egress),  # the URLs of proxies are secret, their ports are not
        },
        opts=ctx.options(),
    )


def _cron_job_spec(
    ctx: Context,
    schedule: str,
    seconds: int,
    annotations: Mapping[str, pulumi.Input[str]],
    spec: PodSpecArgsDict,
) -> CronJobSpecArgsDict:
    """Return the spec of a CronJob, whose Job is stopped after `seconds`.

    A Job is tried again after an error, and not after it has found damage.
    """
    return {
        "schedule": schedule,
        "time_zone": TIME_ZONE,
        "concurrency_policy": "Forbid",
        "starting_deadline_seconds": STARTING_DEADLINE_SECONDS,
        "successful_jobs_history_limit": HISTORY,
        "failed_jobs_history_limit": HISTORY,
        "job_template": {
            "metadata": ctx.metadata(cluster_scoped=True),
            "spec": {
                "active_deadline_seconds": seconds,
                "backoff_limit": BACKOFF_LIMIT,
                "pod_failure_policy": {
                    "rules": [
                        {
                            "action": "FailJob",
                            "on_exit_codes": {
                                "container_name": CONTAINER,
                                "operator": "In",
                                "values": [DAMAGE_REMAINS],
                            },
                        },
                        {"action": "Ignore", "on_pod_conditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    ]
                },
                "template": {"metadata": ctx.metadata(annotations=annotations, cluster_scoped=True), "spec": spec},
            },
        },
    }


def _pod_spec(
    task: str,
    settings: MaintenanceSettings,
    storage: StorageSettings,
    workload: WorkloadSettings,
    inputs: MaintenanceInputs,
    registry_labels: Mapping[str, str],
    files: Sequence[str],
) -> PodSpecArgsDict:
    """Return the spec of the Pod of a task. It runs as the user of the registry, on a node that can mount the images.

    `registry_labels` select the Pods of the registry. `files` are the names of the program's files.
    """
    images: VolumeMountArgsDict | None = None
    if inputs.claim is not None:
        images = {"name": "repository", "mount_path": inputs.claim_path}
    container = program_container(JOB, CONTAINER, [task], settings, workload.image_pull_policy, images)
    spec = base_pod_spec(workload, inputs.node_selector, [container], program_volumes(JOB, files, inputs.claim))
    spec["restart_policy"] = "Never"
    if inputs.node_selector is None and inputs.claim is not None and storage.storage_access != "ReadWriteMany":
        spec["affinity"] = _affinity_to(registry_labels)
    return spec


def _affinity_to(registry_labels: Mapping[str, str]) -> AffinityArgsDict:
    """Return an affinity to the node of the registry, because only one node can mount the claim."""
    term = {"label_selector": {"match_labels": registry_labels}, "topology_key": "kubernetes.io/hostname"}
    return cast(AffinityArgsDict, {"pod_affinity": {"required_during_scheduling_ignored_during_execution": [term]}})
