"""`ops collect`, `prune` and `scrub`, and the rows of the jobs in `ops status`, with a cluster in memory."""

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from ops import __main__ as command_line
from ops import jobs, maintenance, stack
from ops.errors import CommandError
from ops.jobs import describe_run, is_late
from ops.status import verdicts, workload
from ops.status.facts import JobState
from registry.maintenance import APP, CONTAINER

Object = dict[str, Any]

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)

COLLECTED: Object = {
    **{"event": "summary", "task": "collect", "dry_run": False, "seconds": 125.2, "blobs": 90, "bytes": 90 << 20},
    **{"tags_removed": 25, "manifests_removed": 25, "blobs_removed": 30, "bytes_freed": 50 << 20, "damage": []},
}
DAMAGE: Object = {
    **{"what": "blob", "kind": "the bytes do not match the digest", "digest": "sha256:ab", "repair": ""},
    "images": ["team/web:1", "team/web:2"],
}
SCRUBBED: Object = {
    **{"event": "summary", "task": "scrub", "dry_run": False, "seconds": 10.0, "blobs_checked": 7},
    **{"bytes_checked": 2_000_000_000, "damaged": 1, "repaired": 0, "damage": [DAMAGE]},
}


BACKED_UP: Object = {
    **{"event": "summary", "task": "backup", "dry_run": False, "seconds": 8.0, "images": 7, "present": 4},
    **{"copied": 3, "bytes_copied": 5 << 20, "kept": 0, "gone": 1, "damaged": 0, "repaired": 0, "damage": []},
}


def moment(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def cron_job(task: str = "collect", **status: str) -> Object:
    container = {"name": CONTAINER, "args": [task]}
    template = {"spec": {"template": {"spec": {"containers": [container]}}}, "metadata": {"labels": {"a": "b"}}}
    return {
        "metadata": {
            **{"name": f"docker-registry-{task}", "namespace": "team", "uid": f"uid of {task}"},
            "creationTimestamp": moment(NOW - timedelta(hours=1)),
        },
        "spec": {"schedule": "30 2 * * *", "jobTemplate": template},
        "status": status,
    }


class Cluster:
    """A cluster with CronJobs, and with jobs that end as soon as they were looked at once."""

    def __init__(self, log: list[str], *, condition: str = "Complete", message: str = "") -> None:
        self.objects: dict[str, list[Object]] = {
            "CronJob": [cron_job(task) for task in ("collect", "scrub", "backup", "restore")],
            "Job": [],
            "Pod": [],
        }
        self.created: list[Object] = []
        self._log = log
        self._condition = {"type": condition, "status": "True", "message": message}

    def list(self, _: object, kind: str, namespace: str, **selectors: str) -> list[Object]:
        assert namespace == "team"
        name = selectors.get("field_selector", "").removeprefix("metadata.name=")
        return [item for item in self.objects[kind] if name in ("", item["metadata"]["name"])]

    def create(self, _: object, body: Object) -> None:
        self.created.append(body)
        self.add(body["metadata"]["name"], body["metadata"]["ownerReferences"][0]["uid"], NOW, self._log[-1])

    def add(self, name: str, uid: str, end: datetime | None, message: str = "") -> None:
        conditions = [{**self._condition, "lastTransitionTime": moment(end)}] if end else []
        metadata = {"name": name, "creationTimestamp": moment(NOW), "ownerReferences": [{"uid": uid}]}
        self.objects["Job"].append({"metadata": metadata, "status": {"conditions": conditions}})
        terminated = {"state": {"terminated": {"message": message}}}
        self.objects["Pod"] = [
            {"metadata": metadata, "status": {"phase": "Succeeded", "containerStatuses": [terminated]}}
        ]

    def delete(self, _: object, kind: str, name: str, namespace: str) -> None:
        assert namespace == "team"
        self.objects[kind] = [item for item in self.objects[kind] if item["metadata"]["name"] != name]

    def follow(self, _: Object) -> Iterator[str]:
        yield from self._log


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Cluster]:
    """Return a function that makes a cluster the one of the kubeconfig."""

    def create(log: list[str], **options: str) -> Cluster:
        cluster = Cluster(log, **options)
        for module in (jobs, maintenance):
            monkeypatch.setattr(module, "list_objects", cluster.list)
        monkeypatch.setattr(maintenance, "connect", lambda: None)
        monkeypatch.setattr(maintenance, "create_object", cluster.create)
        monkeypatch.setattr(maintenance, "delete_object", cluster.delete)
        monkeypatch.setattr(maintenance, "follow_log", cluster.follow)
        monkeypatch.setattr(stack, "read_all_outputs", lambda _: {"namespace": "team"})
        return cluster

    return create


def ops(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(command_line.app, [*arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


REMOVED = {"event": "removed", "kind": "tag", "repository": "team/web", "tag": "pr-1", "reason": "It is old."}


def test_a_collection_is_followed_and_shown_as_a_table(start: Callable[..., Cluster]) -> None:
    more = [json.dumps({**REMOVED, "tag": f"pr-{number}"}) for number in range(2, 26)]
    cluster = start(["collect: 90 blobs are listed", json.dumps(REMOVED), *more, json.dumps(COLLECTED)])
    code, output, progress = ops("collect")
    assert code == 0
    assert progress == "collect: 90 blobs are listed\n"
    for text in ("team/web:pr-1 ", "It is old.", "5 more tags", "25 removed", "30 of 90 removed", "50.0 of 90.0 MiB"):
        assert text in output
    (job,) = cluster.created
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["collect"]
    owner = job["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("CronJob", "uid of collect", True)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (["collect", "--dry-run"], ["collect", "--dry-run"]),
        (["prune"], ["prune"]),
        (["prune", "--dry-run"], ["prune", "--dry-run"]),
        (["scrub"], ["scrub"]),
        (["scrub", "--all", "--dry-run"], ["scrub", "--all", "--dry-run"]),
    ],
)
def test_an_option_is_passed_to_the_job(
    start: Callable[..., Cluster], command: list[str], arguments: list[str]
) -> None:
    cluster = start([json.dumps({**COLLECTED, "dry_run": True})])
    code, output, _ = ops(*command)
    assert code == 0
    assert cluster.created[0]["spec"]["template"]["spec"]["containers"][0]["args"] == arguments
    assert "25 would be removed" in output
    assert cluster.objects["CronJob"][0]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0][
        "args"
    ] == ["collect"]


def test_damage_is_an_exit_code_and_named(start: Callable[..., Cluster]) -> None:
    start([json.dumps(SCRUBBED)], condition="Failed", message="Container maintenance failed with exit code 3.")
    code, output, _ = ops("scrub")
    assert code == 1
    assert "team/web:1, team/web:2: the bytes do not match the digest." in output
    assert "200 MB/s" in output
    assert "→ Push the named images again." in output
    code, output, _ = ops("scrub", "--json")
    assert code == 1
    assert json.loads(output)["damage"] == [DAMAGE]


def test_repaired_damage_is_no_failure(start: Callable[..., Cluster]) -> None:
    repaired = {**SCRUBBED, "repaired": 1, "damage": [{**DAMAGE, "repair": "the link was written again"}]}
    start([json.dumps(repaired)])
    assert ops("scrub")[0] == 0


def test_json_has_every_removed_tag(start: Callable[..., Cluster]) -> None:
    start([json.dumps(REMOVED), json.dumps(COLLECTED)])
    code, output, _ = ops("collect", "--json")
    report = json.loads(output)
    assert (code, report["removed"], report["bytes_freed"]) == (0, [REMOVED], 50 << 20)


def refuse(task: str) -> CommandError:
    with pytest.raises(CommandError) as error:
        maintenance.run_job("team", task, [])
    return error.value


def test_a_job_that_is_not_set_is_an_error_with_a_command(start: Callable[..., Cluster]) -> None:
    start([]).objects["CronJob"].clear()
    assert "pulumi config set --path collect.schedule" in refuse("prune").remedy
    assert "no job for `scrub`" in refuse("scrub").cause


def test_a_second_job_is_refused(start: Callable[..., Cluster]) -> None:
    cluster = start([json.dumps(SCRUBBED)])
    cluster.add("docker-registry-collect-1", "uid of collect", None)
    error = refuse("prune")
    assert error.cause == "The job docker-registry-collect-1 is running."
    assert cluster.created == []


def test_a_failed_job_is_an_error_with_its_cause(start: Callable[..., Cluster]) -> None:
    start(
        [json.dumps({"event": "summary", "error": "GET of images failed: status 403 AccessDenied."})],
        condition="Failed",
    )
    assert "failed: GET of images failed: status 403 AccessDenied." in refuse("collect").cause
    start(["killed in the midst"], condition="Failed", message="Job was active longer than specified deadline")
    assert "failed: Job was active longer than specified deadline." in refuse("collect").cause


def test_a_job_that_cannot_start_is_deleted_and_says_why(
    start: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = start([""])
    monkeypatch.setattr(maintenance, "START_SECONDS", 0)
    monkeypatch.setattr(maintenance, "POLL_SECONDS", 0)

    def create(_: object, body: Object) -> None:
        cluster.add(body["metadata"]["name"], "uid of collect", None)
        waiting = [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image x"}}}]
        cluster.objects["Pod"][0]["status"] = {"phase": "Pending", "containerStatuses": waiting}

    monkeypatch.setattr(maintenance, "create_object", create)
    assert refuse("collect").cause.endswith("deleted: ImagePullBackOff: Back-off pulling image x.")
    assert cluster.objects["Job"] == []


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (timedelta(hours=1), False),
        (timedelta(hours=20), False),
        (timedelta(hours=33), False),
        (timedelta(hours=34), True),
        (timedelta(days=9), True),
    ],
)
def test_a_job_is_late_if_it_missed_a_run_and_the_next_one(since: timedelta, expected: bool) -> None:
    """The schedule is 02:30, and it is 12:00. A run at 02:30 may be late until the next one."""
    assert is_late(cron_job(lastSuccessfulTime=moment(NOW - since)), NOW) == expected


def test_a_suspended_job_is_told(start: Callable[..., Cluster]) -> None:
    start([]).objects["CronJob"][0]["spec"]["suspend"] = True
    state = workload.read_job(None, "team", "collect")  # type: ignore[arg-type]  # the cluster is in memory
    verdict = verdicts.rate_job(state, "collect", "team")
    assert state is not None
    assert (state.schedule, state.next_run) == ("30 2 * * *", "")
    assert verdict.summary == "suspended, so it does not run"
    assert """`kubectl -n team patch cronjob docker-registry-collect --patch '{"spec":{"suspend":false}}'`""" in (
        verdict.remedy
    )


def test_the_last_run_that_ended_is_read(start: Callable[..., Cluster]) -> None:
    cluster = start([])
    recently = datetime.now(UTC) - timedelta(hours=3)
    cluster.add("a", "uid of collect", recently - timedelta(days=1), "old")
    cluster.add("other", "uid of scrub", recently, json.dumps(SCRUBBED))
    cluster.add("running", "uid of collect", None)
    cluster.add("b", "uid of collect", recently, json.dumps(COLLECTED))
    state = workload.read_job(None, "team", "collect")  # type: ignore[arg-type]  # the cluster is in memory
    assert state is not None
    assert state.hours is not None
    assert 2.9 < state.hours < 3.1
    assert state.summary["bytes_freed"] == 50 << 20
    assert datetime.fromisoformat(state.last_success) == recently.replace(microsecond=0)
    following = datetime.fromisoformat(state.next_run)
    assert (following.hour, following.minute) == (2, 30)
    assert timedelta() < following - datetime.now(UTC) <= timedelta(days=1)
    cluster.objects["CronJob"].clear()
    assert workload.read_job(None, "team", "scrub") is None  # type: ignore[arg-type]


def test_after_a_failure_the_last_success_is_that_of_the_cron_job(start: Callable[..., Cluster]) -> None:
    cluster = start([], condition="Failed", message="it was killed")
    success = moment(NOW - timedelta(days=2))
    cluster.objects["CronJob"][0]["status"] = {"lastSuccessfulTime": success}
    cluster.add("a", "uid of collect", NOW)
    state = workload.read_job(None, "team", "collect")  # type: ignore[arg-type]  # the cluster is in memory
    assert state is not None
    assert state.error == "it was killed"
    assert moment(datetime.fromisoformat(state.last_success)) == success


@pytest.mark.parametrize(
    ("job", "summary", "remedy"),
    [
        (None, "not set (`collect`)", ""),
        (JobState("j", None, "", False, {}), "has not run yet", ""),
        (JobState("j", None, "", True, {}), "late, has not run yet", "`python -m ops collect`"),
        (JobState("j", 3.4, "", False, COLLECTED), "3 hours ago: 50.0 MiB freed, 25 tags and 30 blobs removed", ""),
        (JobState("j", 99, "", True, COLLECTED), "late, 4 days ago", "`python -m ops collect`"),
        (JobState("j", 3, "it was killed", False, {}), "failed 3 hours ago: it was killed", "`python -m ops collect`"),
        (JobState("j", 3, "", False, SCRUBBED), "7 blobs (1907 MiB) checked, 1 damaged", "team/web:1 is damaged"),
        (JobState("j", 3, "", False, {}), "no summary is left", ""),
    ],
)
def test_the_row_of_a_job_has_a_remedy_if_something_is_wrong(job: JobState | None, summary: str, remedy: str) -> None:
    verdict = verdicts.rate_job(job, "collect", "team")
    assert summary in verdict.summary
    assert remedy in verdict.remedy
    assert bool(verdict.remedy) == bool(remedy)


def test_repaired_damage_is_told() -> None:
    assert describe_run({**SCRUBBED, "repaired": 1}).endswith("no damage, 1 repaired")


def test_the_names_are_those_of_the_component() -> None:
    assert f"app.kubernetes.io/name={APP}" == jobs.JOB_SELECTOR
    assert {f"docker-registry-{task}" for task in ("collect", "scrub", "backup", "restore")} == {
        *jobs.CRON_JOBS.values()
    }


def test_a_backup_tells_what_it_has_copied(start: Callable[..., Cluster]) -> None:
    cluster = start([json.dumps(BACKED_UP)])
    code, output, _ = ops("backup")
    assert code == 0
    for text in ("7, 4 of them were there already", "3 copied, 5.0 MiB", "deleted meanwhile", "backup in team"):
        assert text in output
    assert "--overwrite" not in output
    (job,) = cluster.created
    assert job["metadata"]["ownerReferences"][0]["name"] == "docker-registry-backup"
    assert describe_run(BACKED_UP) == "7 images, 3 of them copied (5.0 MiB), no damage"


def test_a_restore_passes_its_options_and_names_what_is_missing(start: Callable[..., Cluster]) -> None:
    restored = {**BACKED_UP, "task": "restore", "kept": 2, "damaged": 1, "damage": [DAMAGE]}
    cluster = start([json.dumps(restored)])
    code, output, _ = ops("restore", "--yes", "--overwrite")
    assert code == 1
    assert "2 kept. Use --overwrite" in output
    assert "team/web:1" in output
    (job,) = cluster.created
    assert job["metadata"]["ownerReferences"][0]["name"] == "docker-registry-restore"
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["restore", "--overwrite"]
    assert ops("restore", "--dry-run", "--json")[0] == 1


def test_a_restore_asks_before_it_writes(start: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = start([json.dumps(BACKED_UP)])
    with pytest.raises(CommandError, match="not a terminal"):
        command_line.restore()
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    for answer, message in ((False, "answered no"), (True, "")):
        monkeypatch.setattr(typer, "confirm", lambda _, answer=answer: answer)
        if message:
            with pytest.raises(CommandError, match=message):
                command_line.restore()
            assert cluster.created == []
        else:
            with pytest.raises(typer.Exit):
                command_line.restore()
    assert len(cluster.created) == 1


def test_a_restore_without_a_backup_names_the_input(start: Callable[..., Cluster]) -> None:
    cluster = start([])
    cluster.objects["CronJob"] = []
    with pytest.raises(CommandError, match="no job for `backup`"):
        maintenance.run_job("team", "restore", [])
