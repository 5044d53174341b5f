"""`ops collect`, `prune`, `scrub`, `backup` and `restore`: run a maintenance job now, follow it, and print its result.

The job is made from the CronJob of the component, as `kubectl create job --from` does it. So it runs with the same
program, settings and rights.
"""

import copy
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubernetes.dynamic import DynamicClient

from .errors import CommandError
from .jobs import MIB, end_of, failure_of, find_cron_job, list_jobs, list_pods, read_summary, remaining_damage
from .kubernetes import (
    Object,
    connect,
    convert_api_errors,
    create_object,
    delete_object,
    follow_log,
    list_objects,
)
from .report import ATTENTION, PASSED, print_json, print_line, print_remedies, print_report, print_rows

START_SECONDS = 180
"""Seconds until the container of a job must have started: the time to pull its image."""

POLL_SECONDS = 0.5

CRON_JOB_OF = {"collect": "collect", "prune": "collect", "scrub": "scrub", "backup": "backup", "restore": "restore"}
"""Task whose CronJob has the program and the settings."""

INPUT_OF = {"restore": "backup"}
"""Task whose CronJob is created by the input of another name."""

SHOWN = 20
"""Removed tags and damaged files that the table shows. The JSON has all of them."""


@dataclass
class Run:
    """A job that ended: its summary, and everything that it reported."""

    namespace: str
    job: str
    summary: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)


def run_job(namespace: str, task: str, options: Sequence[str]) -> Run:
    """Run a task to its end. Raise if it cannot start, or if it fails."""
    with convert_api_errors():
        client = connect()
        cron_job = find_cron_job(client, namespace, CRON_JOB_OF[task])
        if cron_job is None:
            key = INPUT_OF.get(task, CRON_JOB_OF[task])
            raise CommandError(
                f"The namespace {namespace!r} has no job for `{key}`.",
                f"Run `pulumi config set --path {key}.schedule '30 2 * * *'`, and `pulumi up`.",
            )
        _refuse_second(client, namespace, cron_job)
        job = _job(cron_job, task, options)
        create_object(client, job)
        run = Run(namespace, job["metadata"]["name"])
        finished = _follow(client, run)
        run.summary = run.summary or read_summary(client, namespace, finished)
    if failure := failure_of(finished, run.summary):
        raise CommandError(f"The job {run.job} failed: {failure}.", f"See `kubectl -n {namespace} logs job/{run.job}`.")
    return run


def confirm_restore(stack: str, ask: Callable[[str], bool]) -> None:
    """Ask before a restore writes to a registry. Raise if the answer is no."""
    if not sys.stdin.isatty():
        raise CommandError(
            "Standard input is not a terminal, so no image was restored.", "Pass --yes to run without a prompt."
        )
    if not ask(f"Copy the images of the last backup to the registry of the stack {stack!r}?"):
        raise CommandError("You answered no, so no image was restored.", "Run the command again to restore the images.")


def print_run(run: Run) -> bool:
    """Print the result of a run as tables. Return whether no damage remains."""
    summary, remaining = run.summary, remaining_damage(run.summary)
    removed = [
        event for event in run.events if event["event"] in ("removed", "would-remove") and event["kind"] == "tag"
    ]
    print_rows((f"{event['repository']}:{event['tag']}", event["reason"]) for event in removed[:SHOWN])
    if len(removed) > SHOWN:
        print_line(f"... and {len(removed) - SHOWN} more tags, which --json shows.")
    title = f"{summary.get('task', '')}{' (dry run)' if summary.get('dry_run') else ''} in {run.namespace}"
    print_report(title, "result", [(PASSED, name, value) for name, value in _rows(summary)])
    damage = summary.get("damage") or []
    print_report(
        "damage" if damage else "no damage",
        "file",
        [
            (
                PASSED if each["repair"] and not remaining else ATTENTION,
                each["what"],
                f"{', '.join(each['images'][:3])}: {each['kind']}. {each['digest']} {each['repair']}".rstrip(),
            )
            for each in damage[:SHOWN]
        ],
    )
    if remaining:
        print_remedies(["Push the named images again. docs/maintenance.md shows how to find who has them."])
    return not remaining


def print_run_json(run: Run) -> bool:
    """Print one JSON object. Return whether no damage remains."""
    removed = [event for event in run.events if event["event"] in ("removed", "would-remove")]
    print_json({"namespace": run.namespace, "job": run.job, **run.summary, "removed": removed})
    return not remaining_damage(run.summary)


def _rows(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the counts of a summary, in words."""
    would = "would be " if summary.get("dry_run") else ""
    if summary.get("task") == "scrub":
        megabytes = summary.get("bytes_checked", 0) / 1e6
        rate = megabytes / max(summary.get("seconds", 0), 0.1)
        yield "blobs checked", f"{summary.get('blobs_checked', 0)}, {megabytes:.0f} MB, {rate:.0f} MB/s"
    elif summary.get("task") in ("backup", "restore"):
        yield "images", f"{summary.get('images', 0)}, {summary.get('present', 0)} of them were there already"
        yield "copied", f"{summary.get('copied', 0)} {would}copied, {summary.get('bytes_copied', 0) / MIB:.1f} MiB"
        if kept := summary.get("kept"):
            yield "tags with another digest", f"{kept} kept. Use --overwrite to change them"
        if gone := summary.get("gone"):
            yield "deleted meanwhile", f"{gone}"
    else:
        yield "tags", f"{summary.get('tags_removed', 0)} {would}removed"
        yield "images", f"{summary.get('manifests_removed', 0)} {would}removed"
        yield "blobs", f"{summary.get('blobs_removed', 0)} of {summary.get('blobs', 0)} {would}removed"
        freed, total = summary.get("bytes_freed", 0) / MIB, summary.get("bytes", 0) / MIB
        yield "space", f"{freed:.1f} of {total:.1f} MiB {would}freed"
        if aborted := summary.get("uploads_aborted"):
            yield "unfinished uploads", f"{aborted} aborted"
    yield "time", f"{summary.get('seconds', 0):.0f} s"


def _refuse_second(client: DynamicClient, namespace: str, cron_job: Object) -> None:
    """Refuse to run next to another job of the same kind."""
    for job in list_jobs(client, namespace, cron_job):
        if end_of(job) is None:
            name = job["metadata"]["name"]
            raise CommandError(
                f"The job {name} is running.", f"Wait for it with `kubectl -n {namespace} logs --follow job/{name}`."
            )


def _job(cron_job: Object, task: str, options: Sequence[str]) -> Object:
    """Return a job of a CronJob with other arguments. The CronJob owns it, so it deletes old ones."""
    template, metadata = copy.deepcopy(cron_job["spec"]["jobTemplate"]), cron_job["metadata"]
    template["spec"]["template"]["spec"]["containers"][0]["args"] = [task, *options]
    owner = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"docker-registry-{task}-{time.time_ns() // 1000:x}",
            "namespace": metadata["namespace"],
            "labels": (template.get("metadata") or {}).get("labels") or {},
            "annotations": {"cronjob.kubernetes.io/instantiate": "manual"},
            "ownerReferences": [owner],
        },
        "spec": template["spec"],
    }


def _follow(client: DynamicClient, run: Run) -> Object:
    """Print the progress of a job until it ends. Return the job.

    A job that does not start is deleted. It would start at some later time, and no other could run until then.
    """
    seen: set[str] = set()
    deadline = time.monotonic() + START_SECONDS
    while True:
        (job,) = list_objects(client, "Job", run.namespace, field_selector=f"metadata.name={run.job}")
        pods = list_pods(client, run.namespace, job)
        for pod in pods:
            name = pod["metadata"]["name"]
            if name not in seen and pod["status"].get("phase") != "Pending":
                seen.add(name)
                run.events.clear()  # an attempt before this one has failed
                _read_lines(run, follow_log(pod))
        if end_of(job) is not None:
            return job
        if not seen and time.monotonic() > deadline:
            delete_object(client, "Job", run.job, run.namespace)
            raise CommandError(
                f"The job {run.job} did not start within {START_SECONDS} seconds, and was deleted: {_reason(pods)}.",
                f"See `kubectl -n {run.namespace} get events`. Correct the cause, and run the command again.",
            )
        time.sleep(POLL_SECONDS)


def _read_lines(run: Run, lines: Iterator[str]) -> None:
    """Keep the JSON of a log, and print its other lines."""
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            print(line, file=sys.stderr, flush=True)
            continue
        if isinstance(event, dict) and event.get("event") == "summary":
            run.summary = event
        elif isinstance(event, dict):
            run.events.append(event)


def _reason(pods: Sequence[Object]) -> str:
    """Return why the Pods wait, by the words of the scheduler or of the kubelet."""
    for pod in pods:
        statuses = [pod["status"].get(key) or [] for key in ("initContainerStatuses", "containerStatuses")]
        for status in [*statuses[0], *statuses[1]]:
            waiting = (status.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
                return ": ".join(waiting[key].rstrip(".") for key in ("reason", "message") if waiting.get(key))
        for condition in pod["status"].get("conditions") or []:
            if condition.get("status") == "False" and condition.get("message"):
                return str(condition["message"]).rstrip(".")
    return "it has no Pod" if not pods else "its container is being created"
