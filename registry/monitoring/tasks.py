"""The jobs that the exporter and the alerts watch. A new job is a row of `TASKS`."""

from typing import NamedTuple

from ..settings import MaintenanceSettings
from ..validation.schedules import longest_interval, parse_schedule


class Task(NamedTuple):
    """A job. `name` is the name of its input, which has a field `schedule`, and of its command of `ops`.

    `section` is that of docs/monitoring.md or another page which says what to do if the job fails.
    """

    name: str
    section: str


TASKS = (
    Task("collect", "docs/maintenance.md#free-space-now"),
    Task("scrub", "docs/maintenance.md#an-image-is-damaged"),
    Task("backup", "docs/backup.md#a-backup-fails-or-is-late"),
)


def task_periods(settings: MaintenanceSettings | None) -> dict[str, int]:
    """Return the longest time in seconds between two runs of each job whose input is set."""
    jobs = {task.name: getattr(settings, task.name, None) for task in TASKS}
    return {name: longest_interval(parse_schedule(job["schedule"])) for name, job in jobs.items() if job is not None}
