"""Schedules of cron, as Kubernetes reads them: five fields. The component sets their time zone to UTC."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

EVERY = ("*", "*/1")
"""Texts of a field that allows every value."""

MOST_DAYS = 8 * 366
"""Days until a schedule must be due. February 29 is at most eight years away."""

DAY_SECONDS = 24 * 3600

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
"""Start of the days that `longest_interval` searches for the longest interval of a schedule."""


class Field(NamedTuple):
    """A field: its name, its least and greatest number, and names for the numbers."""

    name: str
    least: int
    most: int
    names: Sequence[str] = ()

    def parse(self, text: str) -> frozenset[int] | None:
        """Return the numbers of a field such as 0-30/10,45, or None if it is not valid."""
        numbers: set[int] = set()
        for part in text.lower().split(","):
            match = re.fullmatch(r"(\*|(\w+)(?:-(\w+))?)(?:/([0-9]{1,2}))?", part, re.ASCII)
            if match is None:
                return None
            first, last = self._number(match[2] or str(self.least)), self._number(match[3] or match[2] or "")
            if match[2] is None or (match[4] and match[3] is None):
                last = self.most
            step = int(match[4] or 1)
            if first is None or last is None or first > last or step == 0:
                return None
            numbers.update(range(first, last + 1, step))
        return frozenset(numbers)

    def _number(self, text: str) -> int | None:
        if text in self.names:
            return self.names.index(text) + self.least
        is_number = text.isdigit() and len(text) <= 2 and self.least <= int(text) <= self.most
        return int(text) if is_number else None


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of the month", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day of the week", 0, 6, WEEKDAYS),
)
"""Fields of a schedule (github.com/robfig/cron, standard parser)."""


class Schedule(NamedTuple):
    """A schedule. A day is due by its number or by its weekday, if both are limited."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first time after `moment` when the schedule is due, or None if it is never due."""
        start = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        day = start.replace(hour=0, minute=0)
        for _ in range(MOST_DAYS):
            if self.is_due_on(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        due = day.replace(hour=hour, minute=minute)
                        if due >= start:
                            return due
            day += timedelta(days=1)
        return None

    def is_due_on(self, day: datetime) -> bool:
        """Return whether it is due at some time of a day."""
        by_number, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        is_due = (by_number or by_weekday) if not (self.any_day or self.any_weekday) else by_number and by_weekday
        return day.month in self.months and is_due


def longest_interval(schedule: Schedule) -> int:
    """Return the seconds of the longest time between two runs."""
    times = sorted(60 * (60 * hour + minute) for hour in schedule.hours for minute in schedule.minutes)
    due = [number for number in range(2 * MOST_DAYS) if schedule.is_due_on(FIRST_DAY + timedelta(days=number))]
    within_a_day = [later - earlier for earlier, later in pairwise(times)]
    between_days = [(later - earlier) * DAY_SECONDS + times[0] - times[-1] for earlier, later in pairwise(due)]
    return max([*within_a_day, *between_days])


def parse_schedule(text: str) -> Schedule:
    """Return the schedule. Raise ValueError with the name of an invalid field, or with a wrong number of fields."""
    parts = text.split()
    if len(parts) != len(FIELDS):
        raise ValueError(f"{len(parts)} fields")
    minutes, hours, days, months, weekdays = map(_parse_field, FIELDS, parts)
    return Schedule(minutes, hours, days, months, weekdays, parts[2] in EVERY, parts[4] in EVERY)


def _parse_field(field: Field, text: str) -> frozenset[int]:
    numbers = field.parse(text)
    if numbers is None:
        raise ValueError(field.name)
    return numbers
