"""Read the maintenance jobs of a registry, with the times and results of their runs."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from kubernetes.dynamic import DynamicClient

from registry.validation.schedules import parse_schedule

from .kubernetes import Object, list_objects, parse_time

JOB_SELECTOR = "app.kubernetes.io/name=docker-registry-maintenance"
"""Label selector of the jobs and their Pods. A literal, because the import of `registry` takes a second."""

CRON_JOBS = {task: f"docker-registry-{task}" for task in ("collect", "scrub", "backup", "restore")}
"""Names of the CronJobs."""

MIB = 2**20


def find_cron_job(client: DynamicClient, namespace: str, task: str) -> Object | None:
    """Return the CronJob of a task, or None if its input is not set."""
    found = list_objects(client, "CronJob", namespace, field_selector=f"metadata.name={CRON_JOBS[task]}")
    return found[0] if found else None


def list_jobs(client: DynamicClient, namespace: str, cron_job: Object) -> list[Object]:
    """Return the jobs of a CronJob that are kept."""
    jobs = list_objects(client, "Job", namespace, label_selector=JOB_SELECTOR)
    uid = cron_job["metadata"]["uid"]
    return [job for job in jobs if any(owner["uid"] == uid for owner in job["metadata"].get("ownerReferences") or [])]


def end_of(job: Object) -> datetime | None:
    """Return the end of a job, or None while it runs."""
    condition = _end_condition(job)
    return parse_time(condition["lastTransitionTime"]) if condition is not None else None


def failure_of(job: Object, summary: Mapping[str, Any]) -> str:
    """Return why a job failed, or "". Damage that it found is no failure."""
    condition = _end_condition(job)
    if condition is None or condition["type"] == "Complete" or remaining_damage(summary):
        return ""
    return str(summary.get("error") or condition.get("message") or condition.get("reason") or "unknown").rstrip(".")


def read_summary(client: DynamicClient, namespace: str, job: Object) -> dict[str, Any]:
    """Return the summary in the termination message of the job's last Pod, or {} if the Pod has left no summary."""
    for pod in sorted(list_pods(client, namespace, job), key=_created, reverse=True):
        for status in pod["status"].get("containerStatuses") or []:
            message = ((status.get("state") or {}).get("terminated") or {}).get("message")
            try:
                summary = json.loads(message or "")
            except ValueError:
                continue
            if isinstance(summary, dict):
                return summary
    return {}


def list_pods(client: DynamicClient, namespace: str, job: Object) -> list[Object]:
    """Return the Pods of a job. Each failed attempt leaves one."""
    name = job["metadata"]["name"]
    return list_objects(client, "Pod", namespace, label_selector=f"batch.kubernetes.io/job-name={name}")


def is_late(cron_job: Object, now: datetime) -> bool:
    """Return whether a run was due, did not succeed, and the next one was due as well."""
    status, spec = cron_job.get("status") or {}, cron_job["spec"]
    since = parse_time(status.get("lastSuccessfulTime") or cron_job["metadata"]["creationTimestamp"])
    schedule = parse_schedule(spec["schedule"])
    due = schedule.next_after(since)
    following = schedule.next_after(due) if due is not None else None
    return following is not None and now > following


def next_run(cron_job: Object, now: datetime) -> datetime | None:
    """Return the time of the next run, or None if the CronJob is suspended."""
    spec = cron_job["spec"]
    return None if spec.get("suspend") else parse_schedule(spec["schedule"]).next_after(now)


def last_success(cron_job: Object) -> datetime | None:
    """Return the end of the last run that succeeded, or None if no run has succeeded."""
    time = (cron_job.get("status") or {}).get("lastSuccessfulTime")
    return parse_time(time) if time else None


def remaining_damage(summary: Mapping[str, Any]) -> int:
    """Return the number of damaged files that the job could not repair."""
    return int(summary.get("damaged", 0)) - int(summary.get("repaired", 0))


def describe_run(summary: Mapping[str, Any]) -> str:
    """Describe the result of a job in words."""
    if not summary:
        return "no summary is left"
    damage = f"{remaining_damage(summary)} damaged" if remaining_damage(summary) else "no damage"
    if summary.get("repaired"):
        damage += f", {summary['repaired']} repaired"
    if summary.get("task") == "scrub":
        checked = f"{summary.get('blobs_checked', 0)} blobs ({summary.get('bytes_checked', 0) / MIB:.0f} MiB) checked"
        return f"{checked}, {damage}"
    if summary.get("task") in ("backup", "restore"):
        copied = f"{summary.get('copied', 0)} of them copied ({summary.get('bytes_copied', 0) / MIB:.1f} MiB)"
        return f"{summary.get('images', 0)} images, {copied}, {damage}"
    freed = f"{summary.get('bytes_freed', 0) / MIB:.1f} MiB freed"
    return (
        f"{freed}, {summary.get('tags_removed', 0)} tags and {summary.get('blobs_removed', 0)} blobs removed, {damage}"
    )


def _end_condition(job: Object) -> Mapping[str, Any] | None:
    conditions = (job.get("status") or {}).get("conditions") or []
    return next(
        (each for each in conditions if each["type"] in ("Complete", "Failed") and each["status"] == "True"), None
    )


def _created(item: Object) -> str:
    return str(item["metadata"]["creationTimestamp"])
